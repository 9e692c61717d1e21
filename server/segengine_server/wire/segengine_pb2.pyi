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
    __slots__ = ("as_of", "data_version", "buyers", "modules", "variants", "empty", "never", "unseen", "different_pages", "frequent", "not_given")
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
    NOT_GIVEN_FIELD_NUMBER: _ClassVar[int]
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
    not_given: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, as_of: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., data_version: _Optional[int] = ..., buyers: _Optional[int] = ..., modules: _Optional[_Iterable[_Union[ModuleReach, _Mapping]]] = ..., variants: _Optional[_Iterable[_Union[VariantReach, _Mapping]]] = ..., empty: _Optional[_Iterable[_Union[EmptySlot, _Mapping]]] = ..., never: _Optional[_Iterable[str]] = ..., unseen: _Optional[_Iterable[_Union[UnseenModule, _Mapping]]] = ..., different_pages: _Optional[int] = ..., frequent: _Optional[_Iterable[_Union[FrequentPage, _Mapping]]] = ..., not_given: _Optional[_Iterable[str]] = ...) -> None: ...

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

class PreviewTextsRequest(_message.Message):
    __slots__ = ("campaign", "count", "with_bill")
    CAMPAIGN_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    WITH_BILL_FIELD_NUMBER: _ClassVar[int]
    campaign: str
    count: int
    with_bill: bool
    def __init__(self, campaign: _Optional[str] = ..., count: _Optional[int] = ..., with_bill: _Optional[bool] = ...) -> None: ...

class PreviewTextsReply(_message.Message):
    __slots__ = ("texts", "bill", "as_of", "data_version")
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    BILL_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    DATA_VERSION_FIELD_NUMBER: _ClassVar[int]
    texts: _containers.RepeatedCompositeFieldContainer[PreviewedText]
    bill: _containers.RepeatedCompositeFieldContainer[BillLine]
    as_of: _timestamp_pb2.Timestamp
    data_version: int
    def __init__(self, texts: _Optional[_Iterable[_Union[PreviewedText, _Mapping]]] = ..., bill: _Optional[_Iterable[_Union[BillLine, _Mapping]]] = ..., as_of: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., data_version: _Optional[int] = ...) -> None: ...

class PreviewedText(_message.Message):
    __slots__ = ("customer", "variant", "text", "characters", "parts", "cost")
    CUSTOMER_FIELD_NUMBER: _ClassVar[int]
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    CHARACTERS_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    customer: CustomerId
    variant: str
    text: str
    characters: int
    parts: int
    cost: str
    def __init__(self, customer: _Optional[_Union[CustomerId, _Mapping]] = ..., variant: _Optional[str] = ..., text: _Optional[str] = ..., characters: _Optional[int] = ..., parts: _Optional[int] = ..., cost: _Optional[str] = ...) -> None: ...

class BillLine(_message.Message):
    __slots__ = ("variant", "parts_each", "buyers", "parts", "cost")
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    PARTS_EACH_FIELD_NUMBER: _ClassVar[int]
    BUYERS_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    variant: str
    parts_each: int
    buyers: int
    parts: int
    cost: str
    def __init__(self, variant: _Optional[str] = ..., parts_each: _Optional[int] = ..., buyers: _Optional[int] = ..., parts: _Optional[int] = ..., cost: _Optional[str] = ...) -> None: ...

class SendHoursRequest(_message.Message):
    __slots__ = ("campaign", "run")
    CAMPAIGN_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    campaign: str
    run: str
    def __init__(self, campaign: _Optional[str] = ..., run: _Optional[str] = ...) -> None: ...

class SendHoursReply(_message.Message):
    __slots__ = ("buyers",)
    BUYERS_FIELD_NUMBER: _ClassVar[int]
    buyers: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, buyers: _Optional[_Iterable[int]] = ...) -> None: ...

class PlanCampaignsRequest(_message.Message):
    __slots__ = ("campaigns", "by")
    CAMPAIGNS_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    campaigns: _containers.RepeatedScalarFieldContainer[str]
    by: str
    def __init__(self, campaigns: _Optional[_Iterable[str]] = ..., by: _Optional[str] = ...) -> None: ...

class PlanCampaignsReply(_message.Message):
    __slots__ = ("campaigns", "as_of", "data_version")
    CAMPAIGNS_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    DATA_VERSION_FIELD_NUMBER: _ClassVar[int]
    campaigns: _containers.RepeatedCompositeFieldContainer[PlannedCampaign]
    as_of: _timestamp_pb2.Timestamp
    data_version: int
    def __init__(self, campaigns: _Optional[_Iterable[_Union[PlannedCampaign, _Mapping]]] = ..., as_of: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., data_version: _Optional[int] = ...) -> None: ...

class PlannedCampaign(_message.Message):
    __slots__ = ("campaign", "count", "ledger")
    CAMPAIGN_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    LEDGER_FIELD_NUMBER: _ClassVar[int]
    campaign: str
    count: int
    ledger: _containers.RepeatedCompositeFieldContainer[LedgerStep]
    def __init__(self, campaign: _Optional[str] = ..., count: _Optional[int] = ..., ledger: _Optional[_Iterable[_Union[LedgerStep, _Mapping]]] = ...) -> None: ...

class RunCampaignRequest(_message.Message):
    __slots__ = ("campaign", "plan", "by")
    CAMPAIGN_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    campaign: str
    plan: _containers.RepeatedScalarFieldContainer[str]
    by: str
    def __init__(self, campaign: _Optional[str] = ..., plan: _Optional[_Iterable[str]] = ..., by: _Optional[str] = ...) -> None: ...

class CampaignRun(_message.Message):
    __slots__ = ("run", "campaign", "as_of", "data_version", "targeted", "held_out", "variants")
    RUN_FIELD_NUMBER: _ClassVar[int]
    CAMPAIGN_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    DATA_VERSION_FIELD_NUMBER: _ClassVar[int]
    TARGETED_FIELD_NUMBER: _ClassVar[int]
    HELD_OUT_FIELD_NUMBER: _ClassVar[int]
    VARIANTS_FIELD_NUMBER: _ClassVar[int]
    run: str
    campaign: str
    as_of: _timestamp_pb2.Timestamp
    data_version: int
    targeted: int
    held_out: int
    variants: _containers.RepeatedCompositeFieldContainer[VariantCount]
    def __init__(self, run: _Optional[str] = ..., campaign: _Optional[str] = ..., as_of: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., data_version: _Optional[int] = ..., targeted: _Optional[int] = ..., held_out: _Optional[int] = ..., variants: _Optional[_Iterable[_Union[VariantCount, _Mapping]]] = ...) -> None: ...

class VariantCount(_message.Message):
    __slots__ = ("variant", "buyers")
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    BUYERS_FIELD_NUMBER: _ClassVar[int]
    variant: str
    buyers: int
    def __init__(self, variant: _Optional[str] = ..., buyers: _Optional[int] = ...) -> None: ...

class ListRunsRequest(_message.Message):
    __slots__ = ("campaign",)
    CAMPAIGN_FIELD_NUMBER: _ClassVar[int]
    campaign: str
    def __init__(self, campaign: _Optional[str] = ...) -> None: ...

class ListRunsReply(_message.Message):
    __slots__ = ("runs",)
    RUNS_FIELD_NUMBER: _ClassVar[int]
    runs: _containers.RepeatedCompositeFieldContainer[CampaignRun]
    def __init__(self, runs: _Optional[_Iterable[_Union[CampaignRun, _Mapping]]] = ...) -> None: ...

class StreamRunRequest(_message.Message):
    __slots__ = ("run", "with_held_out")
    RUN_FIELD_NUMBER: _ClassVar[int]
    WITH_HELD_OUT_FIELD_NUMBER: _ClassVar[int]
    run: str
    with_held_out: bool
    def __init__(self, run: _Optional[str] = ..., with_held_out: _Optional[bool] = ...) -> None: ...

class StreamRunReply(_message.Message):
    __slots__ = ("ipc",)
    IPC_FIELD_NUMBER: _ClassVar[int]
    ipc: bytes
    def __init__(self, ipc: _Optional[bytes] = ...) -> None: ...

class RecordMessagesRequest(_message.Message):
    __slots__ = ("ipc", "run", "skip_bad_rows")
    IPC_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    SKIP_BAD_ROWS_FIELD_NUMBER: _ClassVar[int]
    ipc: bytes
    run: str
    skip_bad_rows: bool
    def __init__(self, ipc: _Optional[bytes] = ..., run: _Optional[str] = ..., skip_bad_rows: _Optional[bool] = ...) -> None: ...

class BadRows(_message.Message):
    __slots__ = ("column", "reason", "rows", "examples")
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    EXAMPLES_FIELD_NUMBER: _ClassVar[int]
    column: str
    reason: str
    rows: int
    examples: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, column: _Optional[str] = ..., reason: _Optional[str] = ..., rows: _Optional[int] = ..., examples: _Optional[_Iterable[str]] = ...) -> None: ...

class CampaignReportRequest(_message.Message):
    __slots__ = ("run", "campaign", "by")
    RUN_FIELD_NUMBER: _ClassVar[int]
    CAMPAIGN_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    run: str
    campaign: str
    by: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, run: _Optional[str] = ..., campaign: _Optional[str] = ..., by: _Optional[_Iterable[str]] = ...) -> None: ...

class CampaignReportReply(_message.Message):
    __slots__ = ("json",)
    JSON_FIELD_NUMBER: _ClassVar[int]
    json: str
    def __init__(self, json: _Optional[str] = ...) -> None: ...

class DryRunCampaignRequest(_message.Message):
    __slots__ = ("campaign", "definition_json")
    CAMPAIGN_FIELD_NUMBER: _ClassVar[int]
    DEFINITION_JSON_FIELD_NUMBER: _ClassVar[int]
    campaign: str
    definition_json: str
    def __init__(self, campaign: _Optional[str] = ..., definition_json: _Optional[str] = ...) -> None: ...

class DryRunSegmentRequest(_message.Message):
    __slots__ = ("segment", "rule", "suppress")
    SEGMENT_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    SUPPRESS_FIELD_NUMBER: _ClassVar[int]
    segment: str
    rule: str
    suppress: bool
    def __init__(self, segment: _Optional[str] = ..., rule: _Optional[str] = ..., suppress: _Optional[bool] = ...) -> None: ...

class DryRunReply(_message.Message):
    __slots__ = ("kind", "name", "change", "version", "entered", "left", "stayed", "affected", "sample_entered", "sample_left", "settings", "ledger_before", "ledger_after", "variants", "downstream", "notes", "as_of", "data_version", "modules")
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ENTERED_FIELD_NUMBER: _ClassVar[int]
    LEFT_FIELD_NUMBER: _ClassVar[int]
    STAYED_FIELD_NUMBER: _ClassVar[int]
    AFFECTED_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_ENTERED_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_LEFT_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    LEDGER_BEFORE_FIELD_NUMBER: _ClassVar[int]
    LEDGER_AFTER_FIELD_NUMBER: _ClassVar[int]
    VARIANTS_FIELD_NUMBER: _ClassVar[int]
    DOWNSTREAM_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    DATA_VERSION_FIELD_NUMBER: _ClassVar[int]
    MODULES_FIELD_NUMBER: _ClassVar[int]
    kind: str
    name: str
    change: str
    version: int
    entered: int
    left: int
    stayed: int
    affected: int
    sample_entered: _containers.RepeatedCompositeFieldContainer[CustomerId]
    sample_left: _containers.RepeatedCompositeFieldContainer[CustomerId]
    settings: _containers.RepeatedCompositeFieldContainer[SettingChange]
    ledger_before: _containers.RepeatedCompositeFieldContainer[LedgerStep]
    ledger_after: _containers.RepeatedCompositeFieldContainer[LedgerStep]
    variants: _containers.RepeatedCompositeFieldContainer[VariantMove]
    downstream: _containers.RepeatedCompositeFieldContainer[Downstream]
    notes: _containers.RepeatedScalarFieldContainer[str]
    as_of: _timestamp_pb2.Timestamp
    data_version: int
    modules: _containers.RepeatedCompositeFieldContainer[ModuleChange]
    def __init__(self, kind: _Optional[str] = ..., name: _Optional[str] = ..., change: _Optional[str] = ..., version: _Optional[int] = ..., entered: _Optional[int] = ..., left: _Optional[int] = ..., stayed: _Optional[int] = ..., affected: _Optional[int] = ..., sample_entered: _Optional[_Iterable[_Union[CustomerId, _Mapping]]] = ..., sample_left: _Optional[_Iterable[_Union[CustomerId, _Mapping]]] = ..., settings: _Optional[_Iterable[_Union[SettingChange, _Mapping]]] = ..., ledger_before: _Optional[_Iterable[_Union[LedgerStep, _Mapping]]] = ..., ledger_after: _Optional[_Iterable[_Union[LedgerStep, _Mapping]]] = ..., variants: _Optional[_Iterable[_Union[VariantMove, _Mapping]]] = ..., downstream: _Optional[_Iterable[_Union[Downstream, _Mapping]]] = ..., notes: _Optional[_Iterable[str]] = ..., as_of: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., data_version: _Optional[int] = ..., modules: _Optional[_Iterable[_Union[ModuleChange, _Mapping]]] = ...) -> None: ...

class ModuleChange(_message.Message):
    __slots__ = ("slot", "module", "change", "settings", "before", "after", "entered", "left")
    SLOT_FIELD_NUMBER: _ClassVar[int]
    MODULE_FIELD_NUMBER: _ClassVar[int]
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    ENTERED_FIELD_NUMBER: _ClassVar[int]
    LEFT_FIELD_NUMBER: _ClassVar[int]
    slot: str
    module: str
    change: str
    settings: str
    before: int
    after: int
    entered: int
    left: int
    def __init__(self, slot: _Optional[str] = ..., module: _Optional[str] = ..., change: _Optional[str] = ..., settings: _Optional[str] = ..., before: _Optional[int] = ..., after: _Optional[int] = ..., entered: _Optional[int] = ..., left: _Optional[int] = ...) -> None: ...

class SettingChange(_message.Message):
    __slots__ = ("setting", "before_json", "after_json")
    SETTING_FIELD_NUMBER: _ClassVar[int]
    BEFORE_JSON_FIELD_NUMBER: _ClassVar[int]
    AFTER_JSON_FIELD_NUMBER: _ClassVar[int]
    setting: str
    before_json: str
    after_json: str
    def __init__(self, setting: _Optional[str] = ..., before_json: _Optional[str] = ..., after_json: _Optional[str] = ...) -> None: ...

class VariantMove(_message.Message):
    __slots__ = ("before", "after", "buyers")
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    BUYERS_FIELD_NUMBER: _ClassVar[int]
    before: str
    after: str
    buyers: int
    def __init__(self, before: _Optional[str] = ..., after: _Optional[str] = ..., buyers: _Optional[int] = ...) -> None: ...

class Downstream(_message.Message):
    __slots__ = ("kind", "name", "before", "after", "entered", "left", "affected", "error")
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    ENTERED_FIELD_NUMBER: _ClassVar[int]
    LEFT_FIELD_NUMBER: _ClassVar[int]
    AFFECTED_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    kind: str
    name: str
    before: int
    after: int
    entered: int
    left: int
    affected: int
    error: str
    def __init__(self, kind: _Optional[str] = ..., name: _Optional[str] = ..., before: _Optional[int] = ..., after: _Optional[int] = ..., entered: _Optional[int] = ..., left: _Optional[int] = ..., affected: _Optional[int] = ..., error: _Optional[str] = ...) -> None: ...

class AppendRequest(_message.Message):
    __slots__ = ("table", "ipc", "key", "skip_bad_rows")
    TABLE_FIELD_NUMBER: _ClassVar[int]
    IPC_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    SKIP_BAD_ROWS_FIELD_NUMBER: _ClassVar[int]
    table: str
    ipc: bytes
    key: str
    skip_bad_rows: bool
    def __init__(self, table: _Optional[str] = ..., ipc: _Optional[bytes] = ..., key: _Optional[str] = ..., skip_bad_rows: _Optional[bool] = ...) -> None: ...

class AppendReply(_message.Message):
    __slots__ = ("receipts",)
    RECEIPTS_FIELD_NUMBER: _ClassVar[int]
    receipts: _containers.RepeatedCompositeFieldContainer[Receipt]
    def __init__(self, receipts: _Optional[_Iterable[_Union[Receipt, _Mapping]]] = ...) -> None: ...

class Receipt(_message.Message):
    __slots__ = ("offset", "rows_read", "rows_loaded", "rows_skipped", "rows_repeated", "problems", "ignored_columns")
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    ROWS_READ_FIELD_NUMBER: _ClassVar[int]
    ROWS_LOADED_FIELD_NUMBER: _ClassVar[int]
    ROWS_SKIPPED_FIELD_NUMBER: _ClassVar[int]
    ROWS_REPEATED_FIELD_NUMBER: _ClassVar[int]
    PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    IGNORED_COLUMNS_FIELD_NUMBER: _ClassVar[int]
    offset: int
    rows_read: int
    rows_loaded: int
    rows_skipped: int
    rows_repeated: int
    problems: _containers.RepeatedCompositeFieldContainer[BadRows]
    ignored_columns: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, offset: _Optional[int] = ..., rows_read: _Optional[int] = ..., rows_loaded: _Optional[int] = ..., rows_skipped: _Optional[int] = ..., rows_repeated: _Optional[int] = ..., problems: _Optional[_Iterable[_Union[BadRows, _Mapping]]] = ..., ignored_columns: _Optional[_Iterable[str]] = ...) -> None: ...

class UpsertCustomersRequest(_message.Message):
    __slots__ = ("ipc", "key", "skip_bad_rows")
    IPC_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    SKIP_BAD_ROWS_FIELD_NUMBER: _ClassVar[int]
    ipc: bytes
    key: str
    skip_bad_rows: bool
    def __init__(self, ipc: _Optional[bytes] = ..., key: _Optional[str] = ..., skip_bad_rows: _Optional[bool] = ...) -> None: ...

class DeleteCustomerRequest(_message.Message):
    __slots__ = ("customer",)
    CUSTOMER_FIELD_NUMBER: _ClassVar[int]
    customer: CustomerId
    def __init__(self, customer: _Optional[_Union[CustomerId, _Mapping]] = ...) -> None: ...

class DeleteCustomerReply(_message.Message):
    __slots__ = ("offset", "in_files_until")
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    IN_FILES_UNTIL_FIELD_NUMBER: _ClassVar[int]
    offset: int
    in_files_until: str
    def __init__(self, offset: _Optional[int] = ..., in_files_until: _Optional[str] = ...) -> None: ...

class CompactRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class CompactReply(_message.Message):
    __slots__ = ("offset",)
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    offset: int
    def __init__(self, offset: _Optional[int] = ...) -> None: ...

class NewDefinition(_message.Message):
    __slots__ = ("kind", "name", "definition_json", "etag", "must_be_new")
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    DEFINITION_JSON_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    MUST_BE_NEW_FIELD_NUMBER: _ClassVar[int]
    kind: str
    name: str
    definition_json: str
    etag: str
    must_be_new: bool
    def __init__(self, kind: _Optional[str] = ..., name: _Optional[str] = ..., definition_json: _Optional[str] = ..., etag: _Optional[str] = ..., must_be_new: _Optional[bool] = ...) -> None: ...

class DefinitionKey(_message.Message):
    __slots__ = ("kind", "name", "etag")
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    kind: str
    name: str
    etag: str
    def __init__(self, kind: _Optional[str] = ..., name: _Optional[str] = ..., etag: _Optional[str] = ...) -> None: ...

class PutDefinitionsRequest(_message.Message):
    __slots__ = ("definitions", "delete")
    DEFINITIONS_FIELD_NUMBER: _ClassVar[int]
    DELETE_FIELD_NUMBER: _ClassVar[int]
    definitions: _containers.RepeatedCompositeFieldContainer[NewDefinition]
    delete: _containers.RepeatedCompositeFieldContainer[DefinitionKey]
    def __init__(self, definitions: _Optional[_Iterable[_Union[NewDefinition, _Mapping]]] = ..., delete: _Optional[_Iterable[_Union[DefinitionKey, _Mapping]]] = ...) -> None: ...

class PutDefinitionsReply(_message.Message):
    __slots__ = ("definitions", "deleted")
    DEFINITIONS_FIELD_NUMBER: _ClassVar[int]
    DELETED_FIELD_NUMBER: _ClassVar[int]
    definitions: _containers.RepeatedCompositeFieldContainer[Definition]
    deleted: _containers.RepeatedCompositeFieldContainer[Definition]
    def __init__(self, definitions: _Optional[_Iterable[_Union[Definition, _Mapping]]] = ..., deleted: _Optional[_Iterable[_Union[Definition, _Mapping]]] = ...) -> None: ...

class Definition(_message.Message):
    __slots__ = ("kind", "name", "version", "definition_json", "etag", "deleted", "source", "as_of", "data_version")
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DEFINITION_JSON_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    DELETED_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    DATA_VERSION_FIELD_NUMBER: _ClassVar[int]
    kind: str
    name: str
    version: int
    definition_json: str
    etag: str
    deleted: bool
    source: str
    as_of: _timestamp_pb2.Timestamp
    data_version: int
    def __init__(self, kind: _Optional[str] = ..., name: _Optional[str] = ..., version: _Optional[int] = ..., definition_json: _Optional[str] = ..., etag: _Optional[str] = ..., deleted: _Optional[bool] = ..., source: _Optional[str] = ..., as_of: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., data_version: _Optional[int] = ...) -> None: ...

class GetDefinitionRequest(_message.Message):
    __slots__ = ("kind", "name", "version")
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    kind: str
    name: str
    version: int
    def __init__(self, kind: _Optional[str] = ..., name: _Optional[str] = ..., version: _Optional[int] = ...) -> None: ...

class ListDefinitionsRequest(_message.Message):
    __slots__ = ("kind", "prefix", "with_definitions", "most", "after")
    KIND_FIELD_NUMBER: _ClassVar[int]
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    WITH_DEFINITIONS_FIELD_NUMBER: _ClassVar[int]
    MOST_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    kind: str
    prefix: str
    with_definitions: bool
    most: int
    after: DefinitionKey
    def __init__(self, kind: _Optional[str] = ..., prefix: _Optional[str] = ..., with_definitions: _Optional[bool] = ..., most: _Optional[int] = ..., after: _Optional[_Union[DefinitionKey, _Mapping]] = ...) -> None: ...

class ListDefinitionsReply(_message.Message):
    __slots__ = ("definitions", "more")
    DEFINITIONS_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    definitions: _containers.RepeatedCompositeFieldContainer[Definition]
    more: bool
    def __init__(self, definitions: _Optional[_Iterable[_Union[Definition, _Mapping]]] = ..., more: _Optional[bool] = ...) -> None: ...

class DeleteDefinitionsRequest(_message.Message):
    __slots__ = ("definitions",)
    DEFINITIONS_FIELD_NUMBER: _ClassVar[int]
    definitions: _containers.RepeatedCompositeFieldContainer[DefinitionKey]
    def __init__(self, definitions: _Optional[_Iterable[_Union[DefinitionKey, _Mapping]]] = ...) -> None: ...

class DeleteDefinitionsReply(_message.Message):
    __slots__ = ("definitions",)
    DEFINITIONS_FIELD_NUMBER: _ClassVar[int]
    definitions: _containers.RepeatedCompositeFieldContainer[Definition]
    def __init__(self, definitions: _Optional[_Iterable[_Union[Definition, _Mapping]]] = ...) -> None: ...

class ListVersionsRequest(_message.Message):
    __slots__ = ("kind", "name", "before", "most")
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    MOST_FIELD_NUMBER: _ClassVar[int]
    kind: str
    name: str
    before: int
    most: int
    def __init__(self, kind: _Optional[str] = ..., name: _Optional[str] = ..., before: _Optional[int] = ..., most: _Optional[int] = ...) -> None: ...

class ListVersionsReply(_message.Message):
    __slots__ = ("versions", "more")
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    versions: _containers.RepeatedCompositeFieldContainer[Definition]
    more: bool
    def __init__(self, versions: _Optional[_Iterable[_Union[Definition, _Mapping]]] = ..., more: _Optional[bool] = ...) -> None: ...

class DryRunDefinitionsReply(_message.Message):
    __slots__ = ("diffs",)
    DIFFS_FIELD_NUMBER: _ClassVar[int]
    diffs: _containers.RepeatedCompositeFieldContainer[DryRunReply]
    def __init__(self, diffs: _Optional[_Iterable[_Union[DryRunReply, _Mapping]]] = ...) -> None: ...
