import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CustomerId(_message.Message):
    __slots__ = ("number", "text")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    number: int
    text: str
    def __init__(self, number: _Optional[int] = ..., text: _Optional[str] = ...) -> None: ...

class CountAudienceRequest(_message.Message):
    __slots__ = ("campaign", "rule")
    CAMPAIGN_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    campaign: str
    rule: str
    def __init__(self, campaign: _Optional[str] = ..., rule: _Optional[str] = ...) -> None: ...

class CountAudienceReply(_message.Message):
    __slots__ = ("count", "as_of", "data_version", "ledger")
    COUNT_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    DATA_VERSION_FIELD_NUMBER: _ClassVar[int]
    LEDGER_FIELD_NUMBER: _ClassVar[int]
    count: int
    as_of: _timestamp_pb2.Timestamp
    data_version: int
    ledger: _containers.RepeatedCompositeFieldContainer[LedgerStep]
    def __init__(self, count: _Optional[int] = ..., as_of: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., data_version: _Optional[int] = ..., ledger: _Optional[_Iterable[_Union[LedgerStep, _Mapping]]] = ...) -> None: ...

class LedgerStep(_message.Message):
    __slots__ = ("step", "entered", "dropped", "remaining", "reasons")
    STEP_FIELD_NUMBER: _ClassVar[int]
    ENTERED_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    REMAINING_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    step: str
    entered: int
    dropped: int
    remaining: int
    reasons: str
    def __init__(self, step: _Optional[str] = ..., entered: _Optional[int] = ..., dropped: _Optional[int] = ..., remaining: _Optional[int] = ..., reasons: _Optional[str] = ...) -> None: ...

class StreamAudienceRequest(_message.Message):
    __slots__ = ("campaign", "rule", "columns")
    CAMPAIGN_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    campaign: str
    rule: str
    columns: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, campaign: _Optional[str] = ..., rule: _Optional[str] = ..., columns: _Optional[_Iterable[str]] = ...) -> None: ...

class StreamAudienceReply(_message.Message):
    __slots__ = ("ipc",)
    IPC_FIELD_NUMBER: _ClassVar[int]
    ipc: bytes
    def __init__(self, ipc: _Optional[bytes] = ...) -> None: ...

class ExplainCustomerRequest(_message.Message):
    __slots__ = ("customer", "campaign", "rule")
    CUSTOMER_FIELD_NUMBER: _ClassVar[int]
    CAMPAIGN_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    customer: CustomerId
    campaign: str
    rule: str
    def __init__(self, customer: _Optional[_Union[CustomerId, _Mapping]] = ..., campaign: _Optional[str] = ..., rule: _Optional[str] = ...) -> None: ...

class ExplainCustomerReply(_message.Message):
    __slots__ = ("holds", "step", "text")
    HOLDS_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    holds: bool
    step: str
    text: str
    def __init__(self, holds: _Optional[bool] = ..., step: _Optional[str] = ..., text: _Optional[str] = ...) -> None: ...

class MatchCustomerRequest(_message.Message):
    __slots__ = ("customer",)
    CUSTOMER_FIELD_NUMBER: _ClassVar[int]
    customer: CustomerId
    def __init__(self, customer: _Optional[_Union[CustomerId, _Mapping]] = ...) -> None: ...

class MatchCustomerReply(_message.Message):
    __slots__ = ("segments",)
    SEGMENTS_FIELD_NUMBER: _ClassVar[int]
    segments: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, segments: _Optional[_Iterable[str]] = ...) -> None: ...

class GetPageRequest(_message.Message):
    __slots__ = ("page", "customer", "context")
    class ContextEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    PAGE_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    page: str
    customer: CustomerId
    context: _containers.ScalarMap[str, str]
    def __init__(self, page: _Optional[str] = ..., customer: _Optional[_Union[CustomerId, _Mapping]] = ..., context: _Optional[_Mapping[str, str]] = ...) -> None: ...

class GetPageReply(_message.Message):
    __slots__ = ("placements", "as_of", "data_version", "valid_until", "traits")
    PLACEMENTS_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    DATA_VERSION_FIELD_NUMBER: _ClassVar[int]
    VALID_UNTIL_FIELD_NUMBER: _ClassVar[int]
    TRAITS_FIELD_NUMBER: _ClassVar[int]
    placements: _containers.RepeatedCompositeFieldContainer[Placement]
    as_of: _timestamp_pb2.Timestamp
    data_version: int
    valid_until: _timestamp_pb2.Timestamp
    traits: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, placements: _Optional[_Iterable[_Union[Placement, _Mapping]]] = ..., as_of: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., data_version: _Optional[int] = ..., valid_until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., traits: _Optional[_Iterable[str]] = ...) -> None: ...

class Placement(_message.Message):
    __slots__ = ("slot", "module", "variant", "reason", "products", "payload_json")
    SLOT_FIELD_NUMBER: _ClassVar[int]
    MODULE_FIELD_NUMBER: _ClassVar[int]
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    PRODUCTS_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_JSON_FIELD_NUMBER: _ClassVar[int]
    slot: str
    module: str
    variant: str
    reason: str
    products: _containers.RepeatedCompositeFieldContainer[Product]
    payload_json: str
    def __init__(self, slot: _Optional[str] = ..., module: _Optional[str] = ..., variant: _Optional[str] = ..., reason: _Optional[str] = ..., products: _Optional[_Iterable[_Union[Product, _Mapping]]] = ..., payload_json: _Optional[str] = ...) -> None: ...

class Product(_message.Message):
    __slots__ = ("product_id", "score", "reason")
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    product_id: str
    score: float
    reason: str
    def __init__(self, product_id: _Optional[str] = ..., score: _Optional[float] = ..., reason: _Optional[str] = ...) -> None: ...

class BatchGetPagesRequest(_message.Message):
    __slots__ = ("page", "customers", "context")
    class ContextEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    PAGE_FIELD_NUMBER: _ClassVar[int]
    CUSTOMERS_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    page: str
    customers: _containers.RepeatedCompositeFieldContainer[CustomerId]
    context: _containers.ScalarMap[str, str]
    def __init__(self, page: _Optional[str] = ..., customers: _Optional[_Iterable[_Union[CustomerId, _Mapping]]] = ..., context: _Optional[_Mapping[str, str]] = ...) -> None: ...

class BatchGetPagesReply(_message.Message):
    __slots__ = ("pages",)
    PAGES_FIELD_NUMBER: _ClassVar[int]
    pages: _containers.RepeatedCompositeFieldContainer[GetPageReply]
    def __init__(self, pages: _Optional[_Iterable[_Union[GetPageReply, _Mapping]]] = ...) -> None: ...

class PageCensusRequest(_message.Message):
    __slots__ = ("page", "context")
    class ContextEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    PAGE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    page: str
    context: _containers.ScalarMap[str, str]
    def __init__(self, page: _Optional[str] = ..., context: _Optional[_Mapping[str, str]] = ...) -> None: ...

class PageCensusReply(_message.Message):
    __slots__ = ("as_of", "data_version", "buyers", "modules", "variants", "empty", "never", "unseen", "different_pages", "frequent")
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    DATA_VERSION_FIELD_NUMBER: _ClassVar[int]
    BUYERS_FIELD_NUMBER: _ClassVar[int]
    MODULES_FIELD_NUMBER: _ClassVar[int]
    VARIANTS_FIELD_NUMBER: _ClassVar[int]
    EMPTY_FIELD_NUMBER: _ClassVar[int]
    NEVER_FIELD_NUMBER: _ClassVar[int]
    UNSEEN_FIELD_NUMBER: _ClassVar[int]
    DIFFERENT_PAGES_FIELD_NUMBER: _ClassVar[int]
    FREQUENT_FIELD_NUMBER: _ClassVar[int]
    as_of: _timestamp_pb2.Timestamp
    data_version: int
    buyers: int
    modules: _containers.RepeatedCompositeFieldContainer[ModuleReach]
    variants: _containers.RepeatedCompositeFieldContainer[VariantReach]
    empty: _containers.RepeatedCompositeFieldContainer[EmptySlot]
    never: _containers.RepeatedScalarFieldContainer[str]
    unseen: _containers.RepeatedCompositeFieldContainer[UnseenModule]
    different_pages: int
    frequent: _containers.RepeatedCompositeFieldContainer[FrequentPage]
    def __init__(self, as_of: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., data_version: _Optional[int] = ..., buyers: _Optional[int] = ..., modules: _Optional[_Iterable[_Union[ModuleReach, _Mapping]]] = ..., variants: _Optional[_Iterable[_Union[VariantReach, _Mapping]]] = ..., empty: _Optional[_Iterable[_Union[EmptySlot, _Mapping]]] = ..., never: _Optional[_Iterable[str]] = ..., unseen: _Optional[_Iterable[_Union[UnseenModule, _Mapping]]] = ..., different_pages: _Optional[int] = ..., frequent: _Optional[_Iterable[_Union[FrequentPage, _Mapping]]] = ...) -> None: ...

class ModuleReach(_message.Message):
    __slots__ = ("slot", "module", "reach", "share", "outranked", "already_shown", "held_out", "capped", "not_eligible", "inactive")
    SLOT_FIELD_NUMBER: _ClassVar[int]
    MODULE_FIELD_NUMBER: _ClassVar[int]
    REACH_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    OUTRANKED_FIELD_NUMBER: _ClassVar[int]
    ALREADY_SHOWN_FIELD_NUMBER: _ClassVar[int]
    HELD_OUT_FIELD_NUMBER: _ClassVar[int]
    CAPPED_FIELD_NUMBER: _ClassVar[int]
    NOT_ELIGIBLE_FIELD_NUMBER: _ClassVar[int]
    INACTIVE_FIELD_NUMBER: _ClassVar[int]
    slot: str
    module: str
    reach: int
    share: float
    outranked: int
    already_shown: int
    held_out: int
    capped: int
    not_eligible: int
    inactive: int
    def __init__(self, slot: _Optional[str] = ..., module: _Optional[str] = ..., reach: _Optional[int] = ..., share: _Optional[float] = ..., outranked: _Optional[int] = ..., already_shown: _Optional[int] = ..., held_out: _Optional[int] = ..., capped: _Optional[int] = ..., not_eligible: _Optional[int] = ..., inactive: _Optional[int] = ...) -> None: ...

class VariantReach(_message.Message):
    __slots__ = ("slot", "module", "variant", "reach", "share")
    SLOT_FIELD_NUMBER: _ClassVar[int]
    MODULE_FIELD_NUMBER: _ClassVar[int]
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    REACH_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    slot: str
    module: str
    variant: str
    reach: int
    share: float
    def __init__(self, slot: _Optional[str] = ..., module: _Optional[str] = ..., variant: _Optional[str] = ..., reach: _Optional[int] = ..., share: _Optional[float] = ...) -> None: ...

class EmptySlot(_message.Message):
    __slots__ = ("slot", "buyers", "share")
    SLOT_FIELD_NUMBER: _ClassVar[int]
    BUYERS_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    slot: str
    buyers: int
    share: float
    def __init__(self, slot: _Optional[str] = ..., buyers: _Optional[int] = ..., share: _Optional[float] = ...) -> None: ...

class UnseenModule(_message.Message):
    __slots__ = ("module", "slot", "reason", "buyers", "by", "by_buyers")
    MODULE_FIELD_NUMBER: _ClassVar[int]
    SLOT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    BUYERS_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    BY_BUYERS_FIELD_NUMBER: _ClassVar[int]
    module: str
    slot: str
    reason: str
    buyers: int
    by: str
    by_buyers: int
    def __init__(self, module: _Optional[str] = ..., slot: _Optional[str] = ..., reason: _Optional[str] = ..., buyers: _Optional[int] = ..., by: _Optional[str] = ..., by_buyers: _Optional[int] = ...) -> None: ...

class FrequentPage(_message.Message):
    __slots__ = ("buyers", "share", "placements")
    BUYERS_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    PLACEMENTS_FIELD_NUMBER: _ClassVar[int]
    buyers: int
    share: float
    placements: _containers.RepeatedCompositeFieldContainer[Placement]
    def __init__(self, buyers: _Optional[int] = ..., share: _Optional[float] = ..., placements: _Optional[_Iterable[_Union[Placement, _Mapping]]] = ...) -> None: ...
