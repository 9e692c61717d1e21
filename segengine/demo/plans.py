"""What does the demo shop plan? Its segments, campaign and page, as `store.toml` has them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

SEGMENTS: dict[str, Any] = {
    "champions": "r_score >= 4 AND f_score = 5 AND m_score = 5",
    "new_this_month": "lifecycle_stage = 'new' AND in_last_days(first_order_at, 30)",
    "about_to_lapse": (
        "lifecycle_stage = 'at_risk' OR (lifecycle_stage = 'sleeping' AND recency_days > 150)"
    ),
    "lapsed_big_spenders": "lifecycle_stage = 'lapsed' AND m_score = 5",
    "sleeping_card_holders": "lifecycle_stage = 'sleeping' AND card_claimed_at IS NOT NULL",
    "complained": {"rule": "list_contains(tags, 'complained')", "suppress": True},
}
"""Business name to rule; a buyer who complained is not addressed, whatever the campaign."""

CUSTOMERS_PER_OFFER = 50
"""The campaign's limit is a fiftieth of the buyers: the coupons that are paid for."""


def store_config(customers: int, as_of: datetime, timezone: str) -> dict[str, Any]:
    """The demo store's `store.toml` as a dict: nothing in it that TOML cannot write."""
    return {
        "store": {
            "timezone": timezone,
            "currency": "CNY",
            "channels": ["sms", "email"],
            "as_of": as_of,
        },
        "holdout": {"share": 0.05},
        "segments": {
            name: dict(rule) if isinstance(rule, dict) else rule for name, rule in SEGMENTS.items()
        },
        "campaigns": {"win_back": _win_back(customers)},
        "pages": {
            "home": {
                "slots": {
                    "banner": {"modules": _banners()},
                    "offer": {"modules": _offers()},
                    "footer": {"modules": _footers()},
                }
            }
        },
    }


def _win_back(customers: int) -> dict[str, Any]:
    return {
        "segment": "segment('lapsed_big_spenders') OR segment('about_to_lapse')",
        "exclusions": ["list_contains(tags, 'staff')", "segment('champions')"],
        "channel": "sms",
        "kind": "marketing",
        "holdout": 0.1,
        "priority": 10,
        "limit": max(customers // CUSTOMERS_PER_OFFER, 1),
        "order_by": "amount_total DESC",
        "variants": {
            "coupon_30": [0.5, {"coupon": "WB30", "off_yuan": 30, "title": "30 yuan off, for you"}],
            "gift": [0.5, {"coupon": "WBGIFT", "gift": "travel set", "title": "A gift is waiting"}],
        },
    }


def _banners() -> dict[str, Any]:
    return {
        "champions": {
            "rule": "segment('champions')",
            "priority": 30,
            "payload": {"title": "Early access for our best", "image": "banner/champions.webp"},
        },
        "app_return": {
            "rule": "context.device = 'mobile' AND lifecycle_stage IN ('sleeping', 'lapsed')",
            "priority": 20,
            "payload": {"title": "Good to see you again", "image": "banner/return.webp"},
        },
        "welcome": {
            "rule": "lifecycle_stage = 'prospect'",
            "priority": 10,
            "payload": {"title": "Your first order ships free", "image": "banner/welcome.webp"},
        },
        "season": {
            "fallback": True,
            "payload": {"title": "Summer sale", "image": "banner/season.webp"},
        },
    }


def _offers() -> dict[str, Any]:
    return {
        "win_back_coupon": {
            "rule": "segment('lapsed_big_spenders')",
            "priority": 20,
            "payload": {"coupon": "WB30", "off_yuan": 30},
        },
        "second_order": {
            "rule": "trade_group = 'traded' AND recency_days <= 60",
            "priority": 10,
            "payload": {"coupon": "AGAIN10", "off_percent": 10},
        },
        "best_sellers": {"fallback": True, "payload": {"list": "best_sellers"}},
    }


def _footers() -> dict[str, Any]:
    return {
        "get_the_app": {
            "rule": "context.device = 'desktop' AND orders_365d >= 1",
            "priority": 10,
            "payload": {"title": "Take the shop with you", "link": "/app"},
        },
        "help": {"fallback": True, "payload": {"title": "How can we help?", "link": "/help"}},
    }
