"""Which traits are there, and what exactly does each mean?

The one list from which the engine, `segengine traits` and the documentation are made. A family
stands after those whose traits it reads.
"""

from __future__ import annotations

from segengine.schema.kinds import Kind
from segengine.traits.affinity import AFFINITY
from segengine.traits.answers import ANSWERS
from segengine.traits.habit import HABIT
from segengine.traits.intent import INTENT
from segengine.traits.interest import INTEREST
from segengine.traits.life_cycle import LIFE_CYCLE
from segengine.traits.marketing import MARKETING
from segengine.traits.membership import MEMBERSHIP
from segengine.traits.prediction import PREDICTION
from segengine.traits.price_band import PRICE_BAND
from segengine.traits.products import PRODUCT_SIDE
from segengine.traits.purchase import PURCHASE
from segengine.traits.rfm import RFM
from segengine.traits.service import SERVICE
from segengine.traits.trait import Trait

FAMILIES = (
    PURCHASE, RFM, LIFE_CYCLE, INTENT, HABIT, PRICE_BAND, INTEREST, AFFINITY, PREDICTION,
    PRODUCT_SIDE, MARKETING, SERVICE, MEMBERSHIP, ANSWERS,
)  # fmt: skip

CATALOGUE: tuple[Trait, ...] = tuple(trait for family in FAMILIES for trait in family.traits)
"""The traits of buyers; those of products are in `products.py`."""
BY_NAME = {trait.name: trait for trait in CATALOGUE}
BLOCKS = {
    block: [trait for trait in CATALOGUE if trait.block == block]
    for block in dict.fromkeys(trait.block for trait in CATALOGUE if trait.block)
}
LISTED = [trait for trait in CATALOGUE if trait.kind is Kind.TAGS]
WORDS = {trait.name: trait.words for trait in CATALOGUE if trait.words}
"""The values of text traits by code."""
