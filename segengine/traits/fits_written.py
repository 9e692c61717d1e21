"""How is what was fitted to all buyers written down, and read again just as it was?

As values of JSON: what is none of JSON's own is an object with its type's name under `is`. Numbers
come back to the last bit. Only the types listed here are read, whatever the text says.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa

from segengine.schema.tables import ORDER_LINES, PRODUCTS
from segengine.tables.dictionary import Dictionary
from segengine.tables.tables import Tables
from segengine.traits import price_band_loops, rfm_loops
from segengine.traits.life_cycle import LifeCycleFit
from segengine.traits.price_band import PRICE_BAND, PriceFit
from segengine.traits.price_band_loops import NO_PRICE
from segengine.traits.products import OVERRIDDEN, PRODUCT_SIDE, ProductFit
from segengine.traits.purchase_model import (
    PurchaseModel,
    Refused,
    RepeatParameters,
    SpendParameters,
)
from segengine.traits.rfm import RfmFit
from segengine.traits.work import Fits

_TYPES: dict[str, Any] = {
    "RfmFit": RfmFit,
    "RfmCuts": rfm_loops.Cuts,
    "PriceFit": PriceFit,
    "PriceCuts": price_band_loops.Cuts,
    "LifeCycleFit": LifeCycleFit,
    "ProductFit": ProductFit,
    "PurchaseModel": PurchaseModel,
    "Refused": Refused,
    "RepeatParameters": RepeatParameters,
    "SpendParameters": SpendParameters,
}
_NAMES = {each: name for name, each in _TYPES.items()}


def fits_to_json(fits: Fits) -> dict[str, Any]:
    """What was fitted and when, as `json.dumps` takes it."""
    return {"fitted_at": fits.fitted_at, "of": {n: _said(fit) for n, fit in fits.of.items()}}


def fits_from_json(said: Mapping[str, Any]) -> Fits:
    """The same again."""
    return Fits(int(said["fitted_at"]), {name: _meant(fit) for name, fit in said["of"].items()})


def texts_of_codes(fits: Fits, tables: Tables) -> list[str]:
    """The categories that cut points stand for, by the codes that they have in these tables."""
    fitted: PriceFit = fits.of[PRICE_BAND.name]
    texts: list[str] = _categories(tables).texts()[: len(fitted.cuts.low)].to_pylist()
    return texts


def recoded(fits: Fits, texts: list[str], tables: Tables) -> Fits:
    """The same fits for other tables with the same rows, where texts may have other codes.

    texts: as `texts_of_codes` gave them of the tables that were fitted
    """
    fitted: PriceFit = fits.of[PRICE_BAND.name]
    codes = _categories(tables).find(pa.array(texts, pa.large_string()))
    is_known = codes >= 0
    cuts = []
    for cut in fitted.cuts:
        if bool((codes == np.arange(len(codes))).all()):
            cuts.append(cut)
            continue
        found = np.full(int(codes.max(initial=-1)) + 1, NO_PRICE, cut.dtype)
        found[codes[is_known]] = cut[: len(codes)][is_known]
        cuts.append(found)
    products: ProductFit = fits.of[PRODUCT_SIDE.name]
    own = {
        name: tables.column(PRODUCTS, name).dictionary.encode(pa.array(words))  # type: ignore[union-attr]
        for name, words in OVERRIDDEN.items()
        if name in products.codes
    }
    return Fits(
        fits.fitted_at,
        {
            **fits.of,
            PRICE_BAND.name: replace(fitted, cuts=price_band_loops.Cuts(*cuts)),
            PRODUCT_SIDE.name: replace(products, codes=own),
        },
    )


def _categories(tables: Tables) -> Dictionary:
    found = tables.column(ORDER_LINES, "category").dictionary
    assert found is not None
    return found


def _said(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value.item() if isinstance(value, np.generic) else value
    if type(value) in _NAMES:
        names = [f.name for f in fields(value)] if is_dataclass(value) else value._fields
        return {
            "is": _NAMES[type(value)],
            "with": {name: _said(getattr(value, name)) for name in names},
        }
    if isinstance(value, np.ndarray | np.generic):
        data = base64.b64encode(np.ascontiguousarray(value).tobytes()).decode()
        shape = list(value.shape)
        return {"is": "array", "type": value.dtype.str, "shape": shape, "data": data}
    if isinstance(value, Decimal):
        return {"is": "decimal", "text": str(value)}
    if isinstance(value, tuple):
        return {"is": "tuple", "items": [_said(each) for each in value]}
    if isinstance(value, Mapping):
        return {"is": "map", "items": [[_said(k), _said(v)] for k, v in value.items()]}
    raise TypeError(f"a fit holds a {type(value).__name__}, which has no writing")


def _meant(said: Any) -> Any:
    if not isinstance(said, dict):
        return said
    kind = said["is"]
    if kind == "array":
        data = np.frombuffer(base64.b64decode(said["data"]), said["type"])
        return data.reshape(said["shape"]).copy() if said["shape"] else data[0]
    if kind == "decimal":
        return Decimal(said["text"])
    if kind == "tuple":
        return tuple(_meant(each) for each in said["items"])
    if kind == "map":
        return {_meant(key): _meant(value) for key, value in said["items"]}
    return _TYPES[kind](**{name: _meant(each) for name, each in said["with"].items()})
