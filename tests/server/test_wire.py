"""Claims about the generated code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from segengine_server.wire import segengine_pb2

import segengine

ROOT = Path(__file__).parents[2]
WIRE = Path("segengine_server/wire")
# What `make protos` runs, with `server` as OUT. The folder that the proto is mapped to is the
# package that the generated code imports itself from.
GENERATE = (
    "-m grpc_tools.protoc --proto_path=segengine_server/wire=proto --python_out=OUT"
    " --pyi_out=OUT --grpc_python_out=OUT proto/segengine.proto"
)


def generate(out: Path) -> dict[str, bytes]:
    command = [sys.executable, *GENERATE.replace("OUT", str(out)).split(" ")]
    subprocess.run(command, cwd=ROOT, check=True, timeout=60)
    return {path.name: path.read_bytes() for path in (out / WIRE).iterdir()}


def test_generated_code_matches_the_proto(tmp_path: Path) -> None:
    kept = {
        path.name: path.read_bytes()
        for path in (ROOT / "server" / WIRE).iterdir()
        if path.is_file() and path.name != "__init__.py"
    }
    made = generate(tmp_path)
    assert sorted(made) == ["segengine_pb2.py", "segengine_pb2.pyi", "segengine_pb2_grpc.py"]
    assert made == kept, "run `make protos`"


def test_generated_code_does_not_hide_the_library() -> None:
    assert segengine_pb2.__name__ == "segengine_server.wire.segengine_pb2"
    assert Path(str(segengine.__file__)) == ROOT / "segengine" / "__init__.py"
    assert segengine_pb2.DESCRIPTOR.package == "segengine.v1"


def test_every_service_and_method_of_the_contract_is_there() -> None:
    services = segengine_pb2.DESCRIPTOR.services_by_name
    assert {name: [m.name for m in service.methods] for name, service in services.items()} == {
        "AudienceService": ["CountAudience", "StreamAudience", "ExplainCustomer", "MatchCustomer"],
        "PageService": ["GetPage", "BatchGetPages", "PageCensus"],
        "CampaignService": [
            *("PreviewTexts", "SendHours", "PlanCampaigns", "RunCampaign", "ListRuns"),
            *("StreamRun", "RecordMessages", "CampaignReport", "DryRunCampaign", "DryRunSegment"),
        ],
        "CatalogService": ["Put", "Get", "List", "Delete", "Versions", "DryRun"],
        "IngestService": ["Append", "UpsertCustomers", "DeleteCustomer", "Compact"],
    }


def test_every_field_has_its_number() -> None:
    messages = segengine_pb2.DESCRIPTOR.message_types_by_name
    numbers = {
        name: {field.name: field.number for field in message.fields}
        for name, message in messages.items()
    }
    audience = {"campaign": 1, "rule": 2}
    page = {"placements": 1, "as_of": 2, "data_version": 3, "valid_until": 4, "traits": 5}
    assert numbers == {
        "CustomerId": {"number": 1, "text": 2},
        "CountAudienceRequest": audience,
        "CountAudienceReply": {"count": 1, "as_of": 2, "data_version": 3, "ledger": 4},
        "LedgerStep": {"step": 1, "entered": 2, "dropped": 3, "remaining": 4, "reasons": 5},
        "StreamAudienceRequest": {**audience, "columns": 3},
        "StreamAudienceReply": {"ipc": 1},
        "ExplainCustomerRequest": {"customer": 1, "campaign": 2, "rule": 3},
        "ExplainCustomerReply": {"holds": 1, "step": 2, "text": 3},
        "MatchCustomerRequest": {"customer": 1},
        "MatchCustomerReply": {"segments": 1},
        "GetPageRequest": {"page": 1, "customer": 2, "context": 3},
        "GetPageReply": page,
        "Placement": {
            "slot": 1,
            "module": 2,
            "variant": 3,
            "reason": 4,
            "products": 5,
            "payload_json": 6,
        },
        "Product": {"product_id": 1, "score": 2, "reason": 3},
        "BatchGetPagesRequest": {"page": 1, "customers": 2, "context": 3},
        "BatchGetPagesReply": {"pages": 1},
        "PageCensusRequest": {"page": 1, "context": 2},
        "PageCensusReply": {
            "as_of": 1,
            "data_version": 2,
            "buyers": 3,
            "modules": 4,
            "variants": 5,
            "empty": 6,
            "never": 7,
            "unseen": 8,
            "different_pages": 9,
            "frequent": 10,
            "not_given": 11,
        },
        "ModuleReach": {
            "slot": 1,
            "module": 2,
            "reach": 3,
            "share": 4,
            "outranked": 5,
            "already_shown": 6,
            "held_out": 7,
            "capped": 8,
            "not_eligible": 9,
            "inactive": 10,
        },
        "VariantReach": {"slot": 1, "module": 2, "variant": 3, "reach": 4, "share": 5},
        "EmptySlot": {"slot": 1, "buyers": 2, "share": 3},
        "UnseenModule": {"module": 1, "slot": 2, "reason": 3, "buyers": 4, "by": 5, "by_buyers": 6},
        "FrequentPage": {"buyers": 1, "share": 2, "placements": 3},
        **CAMPAIGNS,
        **CATALOG,
    }


def numbered(names: str) -> dict[str, int]:
    """Fields that are numbered from 1 in this order."""
    return {name: number for number, name in enumerate(names.split(), 1)}


CAMPAIGNS = {
    "PreviewTextsRequest": numbered("campaign count with_bill"),
    "PreviewTextsReply": numbered("texts bill as_of data_version"),
    "PreviewedText": numbered("customer variant text characters parts cost"),
    "BillLine": numbered("variant parts_each buyers parts cost"),
    "SendHoursRequest": numbered("campaign run"),
    "SendHoursReply": numbered("buyers"),
    "PlanCampaignsRequest": numbered("campaigns by"),
    "PlanCampaignsReply": numbered("campaigns as_of data_version"),
    "PlannedCampaign": numbered("campaign count ledger"),
    "RunCampaignRequest": numbered("campaign plan by"),
    "CampaignRun": numbered("run campaign as_of data_version targeted held_out variants"),
    "VariantCount": numbered("variant buyers"),
    "ListRunsRequest": numbered("campaign"),
    "ListRunsReply": numbered("runs"),
    "StreamRunRequest": numbered("run with_held_out"),
    "StreamRunReply": numbered("ipc"),
    "RecordMessagesRequest": numbered("ipc run skip_bad_rows"),
    "Receipt": numbered(
        "offset rows_read rows_loaded rows_skipped rows_repeated problems ignored_columns"
    ),
    "AppendRequest": numbered("table ipc key skip_bad_rows"),
    "AppendReply": numbered("receipts"),
    "UpsertCustomersRequest": numbered("ipc key skip_bad_rows"),
    "DeleteCustomerRequest": numbered("customer"),
    "DeleteCustomerReply": numbered("offset in_files_until"),
    "CompactRequest": {},
    "CompactReply": numbered("offset"),
    "BadRows": numbered("column reason rows examples"),
    "CampaignReportRequest": numbered("run campaign by"),
    "CampaignReportReply": numbered("json"),
    "DryRunCampaignRequest": numbered("campaign definition_json"),
    "DryRunSegmentRequest": numbered("segment rule suppress"),
    "DryRunReply": numbered(
        "kind name change version entered left stayed affected sample_entered sample_left "
        "settings ledger_before ledger_after variants downstream notes as_of data_version "
        "modules"
    ),
    "ModuleChange": numbered("slot module change settings before after entered left"),
    "SettingChange": numbered("setting before_json after_json"),
    "VariantMove": numbered("before after buyers"),
    "Downstream": numbered("kind name before after entered left affected error"),
}

CATALOG = {
    "NewDefinition": numbered("kind name definition_json etag must_be_new"),
    "DefinitionKey": numbered("kind name etag"),
    "PutDefinitionsRequest": numbered("definitions delete"),
    "PutDefinitionsReply": numbered("definitions deleted"),
    "Definition": numbered(
        "kind name version definition_json etag deleted source as_of data_version"
    ),
    "GetDefinitionRequest": numbered("kind name version"),
    "ListDefinitionsRequest": numbered("kind prefix with_definitions most after"),
    "ListDefinitionsReply": numbered("definitions more"),
    "DeleteDefinitionsRequest": numbered("definitions"),
    "DeleteDefinitionsReply": numbered("definitions"),
    "ListVersionsRequest": numbered("kind name before most"),
    "ListVersionsReply": numbered("versions more"),
    "DryRunDefinitionsReply": numbered("diffs"),
}
