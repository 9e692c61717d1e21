"""All methods of all services are in one table, and some of them answer in bytes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from segengine_server.methods import AS_BYTES, Methods
from segengine_server.wire import segengine_pb2 as pb
from segengine_server.wire import segengine_pb2_grpc as wire


def call(method: str) -> Any:
    return SimpleNamespace(method=method, invocation_metadata=())


def filled() -> Methods:
    methods = Methods()
    for name in pb.DESCRIPTOR.services_by_name:
        servicer = getattr(wire, f"{name}Servicer")()
        getattr(wire, f"add_{name}Servicer_to_server")(servicer, methods)
    return methods


def test_every_method_of_the_contract_is_found_and_no_other() -> None:
    methods = filled()
    for service in pb.DESCRIPTOR.services_by_name.values():
        for method in service.methods:
            handler = methods.service(call(f"/{service.full_name}/{method.name}"))
            assert handler.request_streaming == method.client_streaming, method.name
            assert handler.response_streaming == method.server_streaming, method.name
            is_bytes = f"/{service.full_name}/{method.name}" in AS_BYTES
            assert (handler.response_serializer is None) == is_bytes, method.name
            assert handler.request_deserializer is not None
    for unknown in ("", "/", "/segengine.v1.PageService/Nothing", "GetPage"):
        assert methods.service(call(unknown)) is None


def test_what_answers_in_bytes_is_a_method_that_there_is() -> None:
    methods = filled()
    assert all(methods.service(call(method)) is not None for method in AS_BYTES)
