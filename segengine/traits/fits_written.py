"""How is what was fitted to all buyers written down, and read again just as it was?

As values of JSON: what is none of JSON's own is an object with its type's name under `is`. Numbers
come back to the last bit. Only the types listed here are read, whatever the text says.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from decimal import Decimal
from typing import Any

import numpy as np

from segengine.traits import price_band_loops, rfm_loops
from segengine.traits.life_cycle import LifeCycleFit
from segengine.traits.price_band import PriceFit
from segengine.traits.products import ProductFit
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
