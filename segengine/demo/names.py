"""Which places, brands and words does the demo shop know? Text only; the weights beside them."""

from __future__ import annotations

from typing import NamedTuple


class Category(NamedTuple):
    """A category: how often it is bought, its median price, margin, who likes it, what is asked."""

    name: str
    popularity: float
    median_price: float
    cost_share: float
    liked_by_women: float
    searches: tuple[str, ...]


CATEGORIES = (
    Category(
        "skincare", 17, 129, 0.35, 2.2, ("moisturiser", "sunscreen", "face serum", "toner", "mask")
    ),
    Category(
        "womenswear", 15, 159, 0.45, 4.0, ("summer dress", "blouse", "coat", "jeans", "cardigan")
    ),
    Category(
        "makeup", 12, 89, 0.38, 4.5, ("lipstick", "foundation", "mascara", "blush", "palette")
    ),
    Category(
        "snacks", 12, 36, 0.62, 1.1, ("mixed nuts", "dried mango", "biscuits", "jerky", "gift")
    ),
    Category("home", 9, 79, 0.55, 1.3, ("bed linen", "storage box", "towel", "lamp", "cushion")),
    Category("menswear", 8, 149, 0.48, 0.2, ("polo shirt", "chinos", "jacket", "socks", "hoodie")),
    Category("baby", 7, 99, 0.60, 1.8, ("nappies", "wipes", "baby lotion", "bottle", "toys")),
    Category("shoes", 6, 239, 0.50, 0.9, ("trainers", "sandals", "boots", "slippers", "loafers")),
    Category("electronics", 5, 299, 0.74, 0.4, ("earphones", "power bank", "charger", "keyboard")),
    Category("tea", 4, 118, 0.42, 0.7, ("oolong", "green tea", "jasmine tea", "tea set", "pu-erh")),
    Category("pets", 3, 69, 0.64, 1.2, ("cat litter", "dog food", "cat tree", "treats", "lead")),
    Category("fragrance", 2, 329, 0.30, 1.6, ("perfume", "candle", "diffuser", "body mist")),
)
"""Ordered by how often they are bought."""

BRANDS = (
    *("Lumora", "Yunxi", "Petalia", "Dewglass", "Hanbai"),
    *("Mirelle", "Osmanthe", "Ninefold", "Silkroad Days", "Vellum"),
    *("Rougeley", "Kissa", "Blanc de Jade", "Moonstroke", "Tint Lab"),
    *("Nutty Panda", "Golden Husk", "Farm Nine", "Crispo", "Three Squirrels Lane"),
    *("Hearthwell", "Cottonwood", "Lianfang", "Nordhus", "Plain Living"),
    *("Harbour & Co", "Tiger Mill", "Northgate", "Linden", "Bold Stitch"),
    *("Little Sprout", "Momo Bear", "Cloudling", "Tenderly", "First Step"),
    *("Stridewell", "Cloudrunner", "Terra Sole", "Leap", "Hundred Miles"),
    *("Voltix", "Sonaro", "Pixelton", "Anchorline", "Qing Audio"),
    *("Wuyi House", "Green Ridge", "Tea & Moon", "Longjing Hall", "Old Pine"),
    *("Pawsome", "Whiskerie", "Fetchwell", "Happy Tail", "Meow Garden"),
    *("Nocturne", "Ambre Sud", "Maison Lotus", "Sandalo", "Quiet Rain"),
)
"""Five of each category, in the order of CATEGORIES."""

BRANDS_PER_CATEGORY = 5

PLACES = (
    ("Guangdong", 12.0, 1, ("Guangzhou", "Shenzhen", "Dongguan", "Foshan")),
    ("Jiangsu", 9.0, 0, ("Nanjing", "Suzhou", "Wuxi", "Nantong")),
    ("Zhejiang", 9.0, 0, ("Hangzhou", "Ningbo", "Wenzhou", "Jiaxing")),
    ("Shandong", 7.5, 1, ("Jinan", "Qingdao", "Yantai", "Weifang")),
    ("Shanghai", 7.0, 0, ("Shanghai",)),
    ("Sichuan", 6.5, 2, ("Chengdu", "Mianyang", "Leshan")),
    ("Henan", 6.0, 1, ("Zhengzhou", "Luoyang", "Kaifeng")),
    ("Beijing", 6.0, 1, ("Beijing",)),
    ("Hubei", 5.0, 1, ("Wuhan", "Yichang", "Xiangyang")),
    ("Hunan", 4.5, 1, ("Changsha", "Zhuzhou", "Hengyang")),
    ("Fujian", 4.5, 1, ("Fuzhou", "Xiamen", "Quanzhou")),
    ("Hebei", 4.5, 1, ("Shijiazhuang", "Tangshan", "Baoding")),
    ("Anhui", 4.0, 0, ("Hefei", "Wuhu", "Bengbu")),
    ("Liaoning", 3.0, 2, ("Shenyang", "Dalian")),
    ("Shaanxi", 3.0, 2, ("Xi'an", "Xianyang")),
    ("Jiangxi", 2.5, 1, ("Nanchang", "Ganzhou")),
    ("Chongqing", 2.5, 2, ("Chongqing",)),
    ("Guangxi", 2.0, 2, ("Nanning", "Guilin")),
    ("Yunnan", 1.8, 2, ("Kunming", "Dali")),
    ("Tianjin", 1.5, 1, ("Tianjin",)),
    ("Heilongjiang", 1.4, 3, ("Harbin", "Daqing")),
    ("Xinjiang", 0.6, 4, ("Urumqi",)),
)
"""Region, share of buyers, days by road beyond the first from the warehouse in Hangzhou, cities."""

NICKNAMES = (
    (
        *("amber", "autumn", "bamboo", "bright", "calm", "cherry", "clever", "cloudy"),
        *("coral", "cosy", "crimson", "dawn", "dreamy", "early", "emerald", "frosty"),
        *("gentle", "golden", "happy", "hidden", "honey", "jade", "jolly", "lazy"),
        *("lemon", "lucky", "merry", "midnight", "misty", "mellow", "northern", "ocean"),
        *("pearl", "plum", "quiet", "rainy", "rosy", "ruby", "sandy", "scarlet"),
        *("silver", "sleepy", "snowy", "sunny", "swift", "tiny", "velvet", "wild"),
    ),
    (
        *("bean", "bear", "bird", "boat", "breeze", "bunny", "button", "carp"),
        *("cat", "cookie", "crane", "deer", "dragon", "dumpling", "fern", "finch"),
        *("fox", "garden", "ginkgo", "goose", "harbour", "hare", "lake", "lantern"),
        *("leaf", "lily", "lotus", "maple", "mochi", "moon", "noodle", "orchid"),
        *("otter", "owl", "panda", "peach", "pebble", "pine", "pony", "river"),
        *("robin", "sparrow", "star", "stone", "teapot", "tiger", "willow", "wren"),
    ),
    ("", "_88", "_66", "_99", "520", "_2000", "1995", "_sh", "_mm", "_007", "1314", "_x"),
)
"""A nickname is one of each: 27,648 of them, so that a few buyers share one, as they do."""
