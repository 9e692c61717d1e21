"""How is a definition written on the wire, and read from it?

The pairs of `to_proto_*` and `from_proto_*` for CatalogService.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from segengine.errors import RuleError, SegengineError
from segengine.publish import Wanted
from segengine.written import definition_from_plain
from segengine_server.campaign_convert import from_proto_definition, to_proto_definition
from segengine_server.catalog_answers import Definition, Put
from segengine_server.catalog_api import Version
from segengine_server.convert import from_proto_moment, to_proto_moment
from segengine_server.errors import RequestError, Violation, violations_of
from segengine_server.rule_size import RuleSize
from segengine_server.wire import segengine_pb2 as pb

MOST = 1_000
"""Definitions of one change."""


def to_proto_put(
    definitions: Iterable[Put], delete: Iterable[tuple[str, str] | Definition]
) -> pb.PutDefinitionsRequest:
    """One change, in its order."""
    return pb.PutDefinitionsRequest(
        definitions=[
            pb.NewDefinition(
                kind=each.kind,
                name=each.name,
                definition_json=to_proto_definition(each.definition),
                etag=each.etag or "",
                must_be_new=each.new,
            )
            for each in definitions
        ],
        delete=map(to_proto_key, delete),
    )


def from_proto_put(request: pb.PutDefinitionsRequest, rules: RuleSize) -> list[Wanted]:
    """One change; refused with every mistake in the form of its definitions.

    rules: how large each of their rules may be
    """
    count = len(request.definitions) + len(request.delete)
    if not count:
        raise RequestError(Violation("definitions", "name at least one definition"))
    if count > MOST:
        asked = f"{count:,} in one change, at most {MOST:,} are taken"
        raise RequestError(Violation("definitions", asked))
    wanted, wrong = [], []
    for place, each in enumerate(request.definitions):
        where = f"definitions[{place}]"
        try:
            if each.etag and each.must_be_new:
                raise RequestError(
                    Violation("etag", "is of one that is there; leave it out for a new one")
                )
            written = from_proto_definition(each.definition_json)
            rules.admit_all(each.kind, written)
            given = definition_from_plain(each.kind, each.name, written)
            wanted.append(Wanted(each.kind, each.name, given, each.etag or None, each.must_be_new))
        except RequestError as error:
            wrong += [Violation(f"{where}.{v.field}", v.description) for v in error.violations]
        except RuleError as error:
            # One rule has its place and its lines; several are told apart by where they stand.
            if len(request.definitions) == 1:
                raise
            wrong += [Violation(where, v.description) for v in violations_of(error)]
        except SegengineError as error:
            wrong.append(Violation(where, str(error)))
    if wrong:
        raise RequestError(*wrong)
    gone = (Wanted(each.kind, each.name, None, each.etag or None) for each in request.delete)
    return [*wanted, *gone]


def to_proto_key(key: tuple[str, str] | Definition) -> pb.DefinitionKey:
    """What is to go: whatever is in force, or the very definition that was read."""
    if isinstance(key, Definition):
        return pb.DefinitionKey(kind=key.kind, name=key.name, etag=key.etag)
    kind, name = key
    return pb.DefinitionKey(kind=kind, name=name)


def to_proto_version(version: Version, *, whole: bool = True) -> pb.Definition:
    """One version; whole=False: without what it says."""
    definition = version.definition if whole else None
    return pb.Definition(
        kind=version.kind,
        name=version.name,
        version=version.version,
        definition_json="" if definition is None else to_proto_definition(definition),
        etag=version.etag,
        deleted=version.is_deleted,
        source=version.source,
        as_of=to_proto_moment(version.as_of),
        data_version=version.data_version,
    )


def from_proto_version(reply: pb.Definition) -> Definition:
    """One version; its definition is None where the reply does not say it."""
    definition: Mapping[str, Any] | None = None
    if reply.definition_json:
        definition = from_proto_definition(reply.definition_json)
    return Definition(
        reply.kind, reply.name, reply.version, definition, reply.etag, reply.deleted,
        reply.source, from_proto_moment(reply.as_of), reply.data_version,
    )  # fmt: skip
