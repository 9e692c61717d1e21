"""What does a new `store.toml` say? Every setting, with its default or an example."""

TEMPLATE = """\
# The settings of a segengine store. A line that begins with `#` is an example, or a default that
# holds without it: take the sign away and change what follows.

[store]
timezone = "UTC"             # the shop's clock, such as "Asia/Shanghai": what a day is
currency = ""                # such as "EUR"; printed, never computed with
channels = []                # such as ["sms", "email"]: customers get sms_consent and has_sms
# as_of = 2011-12-10T00:00:00Z   # a fixed moment, for history; else the clock
# money_scale = 4            # decimals of every amount; 0 to 9, fixed by the first load
# standing_memory_mb = 256   # megabytes, at most, for what is kept between questions; 0: nothing

# --- data ---------------------------------------------------------------------------------------
# Where `segengine load` finds the rows of each table: customers, products, orders, order_lines,
# behaviors, reviews, messages, impressions, points, and those under [tables].

# [load.customers]
# source = "customers.csv"          # a .csv, .parquet or .json file, or a glob; beside this file

# [load.order_lines]
# source = "lines/*.parquet"
# where = "Quantity > 0"            # rows to take, in SQL on the source's columns
# on_error = "skip"                 # leave bad rows out; "refuse", the default, loads nothing then
# [load.order_lines.columns]        # ours = SQL on the source's; the same names need no line
# customer_id = "CustomerID"
# order_id = "InvoiceNo"
# time = "InvoiceDate"
# amount = "Quantity * UnitPrice"

# [load.products]
# query = "SELECT sku AS product_id, price FROM 'products.parquet'"   # in place of source

# [tables.tickets]                  # a further event table; customer_id and time come with it
# topic = "VARCHAR"                 # BIGINT, DOUBLE, DECIMAL, BOOLEAN, DATE, TIMESTAMP, VARCHAR[]

# --- traits -------------------------------------------------------------------------------------

[rfm]
mode = "quintile"            # fifths of your buyers; or "fixed", with four cuts each, lowest first
# recency = [7, 30, 90, 180]        # days since the last purchase
# orders = [1, 2, 3, 6]
# amount = [100, 300, 1000, 3000]

[lifecycle]                  # each stage reaches to so many days after the last purchase, inclusive
thresholds = "given"         # or "fit": by how soon your buyers come back
new_days = 30
active_days = 60
sleeping_days = 180

[storage]
sync = "full"                # an append outlives a loss of power; "normal": the end of the process
snapshots = 2                # how many are kept
snapshot_log_mb = 256        # a server writes the next one after so many MB of changes,
snapshot_minutes = 360       # or after so many minutes with any

[habit]
minimum_evidence = 2         # purchases that a habit is drawn from; with fewer it is missing

[affinity]                   # how much a buyer cares for a category or a brand
half_life_days = 30          # after so many days an event counts for half
purchase = 5                 # what each line bought counts for, and so on; 0: for nothing
cart = 3
favorite = 3
search = 2
view = 1

[pools]                      # products of modules: what speaks for one, by weights
recent = 8                   # what the buyer did with it lately
bought_together = 3          # with what they bought, or have in the cart
category = 3                 # their affinity to its category
recent_category = 1          # what they did in its category lately
brand = 1
price = 1                    # a price level near to the band they choose
best_seller = 1
view = 1                     # what each doing counts for
cart = 3
favorite = 3
search = 2
recent_days = 14             # lately: so many dates
half_life_days = 3           # after so many dates a doing counts for half
just_bought_days = 30        # what was bought on so many dates is not shown; 0: all is
bought_together_days = 30    # purchases on so many dates suggest what goes with them
best_seller_days = 30
most_of_category = 0.5       # of the places, while other categories have candidates
least_orders = 3             # so many have two products that are bought together

[range_mix]                  # the report of products sets these shares beside the actual ones
star = 0.30
cash_cow = 0.50
question = 0.15
dog = 0.05

[prediction]                 # lifetime_value: so many days ahead; a year later money is worth less
horizon_days = 365
yearly_discount = 0.10
most_buyers = 200_000        # the models are fitted to so many buyers at most

[response]                   # what low_response and is_lost_cause mean
least_messages = 5
low_rate = 0.10
lost_cause_messages = 5

[levels]                     # computed_level: how many of the thresholds a buyer has reached
by = "amount_365d"           # or "amount_total", "order_count"
# thresholds = [1000, 5000, 20000]

[answers]                    # answer_NAME holds the answers to a survey question
# skin = "您的肤质？"

[constants]                  # numbers that rules call store.NAME
# magic_number = 6

[traits]                     # a name = an expression of rules, and rules use it as any trait
# paid_per_order = "amount_total / order_count"
# carts_90d = "count(behaviors) FILTER (WHERE kind = 'cart' AND in_last_days(time, 90))"

# --- whom to leave alone ------------------------------------------------------------------------

[consent]
missing = "deny"             # what an absent consent means; "allow": it is as good as a yes

[holdout]
share = 0.0                  # of all buyers, kept from every marketing campaign, to measure by

# [[caps]]                    # for every campaign of the kind; as many sections as you like
# limit = 2                   # at most so many messages were sent to a buyer, 0: none,
# days = 7                    # on the dates that end today
# kind = "marketing"          # or "care"; service messages pass
# channel = "sms"             # without it over all channels

[text]                       # of campaigns: one part is 70 characters, of longer ones 67
signature = ""               # such as "【Teahouse】"; every text has it, and its characters count
signature_at = "start"       # or "end"
encoding = "ucs2"            # every character is one; "utf16": most emoji are two; "gsm7": 160, 153
# price_per_part = 0.05      # what a budget of money pays for

# --- what to do ---------------------------------------------------------------------------------

[segments]                   # a name = a rule
# vip = "amount_365d >= 1000 AND order_count >= 3"
# about_to_lapse = "lifecycle_stage = 'at_risk' OR recency_days BETWEEN 150 AND 180"

# [segments.complained]
# rule = "list_contains(tags, 'complained')"
# suppress = true                   # nobody in it gets marketing or care, whatever the campaign

# [campaigns.spring]
# segment = "segment('vip') AND recency_days > 30"
# exclusions = ["list_contains(tags, 'staff')"]
# channel = "sms"                   # asks for consent; one of store.channels
# kind = "marketing"                # or "care", "service"
# starts_at = 2026-03-01T00:00:00+08:00
# ends_at = 2026-04-01T00:00:00+08:00
# hours = [["09:00", "21:00"]]      # of the shop's clock
# priority = 10
# variants = { coupon = 0.5, gift = [0.5, { code = "GIFT" }] }   # weights adding up to 1
# holdout = 0.1                     # withheld to measure this campaign
# salt = "spring"                   # what draws variants and holdout; by default the name
# limit = 10000
# order_by = "amount_total DESC"    # who comes first where the limit cuts
# text = "Dear {nickname|friend}, your code is {payload.code|SPRING}."
# budget = { parts = 20000 }        # or { cost = 1000 }; order_by says who comes first
# payload = { title = "Spring" }    # handed out as it is
# goal = "orders"                   # what makes a message responded to, within window_days
# window_days = 3
# value = "p_alive * 20"            # what a buyer is worth to it, where campaigns compete
# caps = [{ limit = 1, days = 30 }] # as [[caps]], of this campaign alone

# [pages.home.slots.banner.modules.vip_banner]
# rule = "segment('vip') AND context.device = 'mobile'"
# priority = 10                     # higher wins; starts_at, ends_at, hours, variants, holdout too
# payload = { title = "For you" }
# [pages.home.slots.for_you.modules.picks.pool]     # products, ranked for the buyer
# rule = "category = 'tea'"         # over products; what is out of stock is left out
# k = 8
# pin = ["p1"]                      # first; ban = [...]: never
# open_carts_first = true
# [pages.home.slots.banner.modules.season]
# fallback = true                   # shows where nothing else does
"""
