"""Which methods are answered on the event loop, and what answers each? One table of all services.

Of pages the table has what the generated code puts there: they are answered elsewhere, where calls
are taken (`brief_calls.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import grpc

AS_BYTES = frozenset({
    "/segengine.v1.AudienceService/StreamAudience", "/segengine.v1.CampaignService/StreamRun",
})  # fmt: skip
"""Methods whose answers are bytes already."""


class Methods(grpc.GenericRpcHandler):  # type: ignore[type-arg]
    """The handlers of services by full method name; takes them as a server does.

    The generated `add_...Servicer_to_server(servicer, methods)` fills it.
    """

    def __init__(self) -> None:
        self._handlers: dict[str, Any] = {}

    def service(self, call: grpc.HandlerCallDetails) -> Any:
        """What answers a call; None for a method that there is not."""
        return self._handlers.get(call.method)

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """Take the handlers of a service."""
        for name, handler in handlers.items():
            method = f"/{service}/{name}"
            if method in AS_BYTES:
                handler = _in_bytes(handler)  # noqa: PLW2901 - the same, in bytes
            self._handlers[method] = handler

    def add_generic_rpc_handlers(self, handlers: object) -> None:
        """The same handlers as a server without registered methods wants them: not needed."""


def _in_bytes(handler: Any) -> Any:
    """A handler of one request whose stream of answers is sent as it is."""
    return grpc.unary_stream_rpc_method_handler(
        handler.unary_stream, handler.request_deserializer, None
    )
