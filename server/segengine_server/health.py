"""Is this server fit to answer? `grpc.health.v1`, for load balancers and orchestrators.

The servicer of grpcio-health-checking keeps every watcher's call open, and a server that drains
waits for calls: one watcher would make every shutdown last its full ten seconds. This one tells
its watchers of the end and lets them go.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc


class Health(health_pb2_grpc.HealthServicer):  # type: ignore[misc] # has no types
    """The state of the server, named by the empty text, and of each of its services alike."""

    def __init__(self, services: Iterable[str]) -> None:
        self._services = frozenset(("", *services))
        self._serving = False
        self._ending = False
        self._changed = asyncio.Event()

    def serve(self) -> None:
        """From now on all are SERVING."""
        self._serving = not self._ending
        self._tell()

    def end(self) -> None:
        """From now on all are NOT_SERVING, for good; watchers hear of it and are let go."""
        self._serving = False
        self._ending = True
        self._tell()

    async def Check(  # noqa: N802 - the wire's name
        self,
        request: health_pb2.HealthCheckRequest,
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> health_pb2.HealthCheckResponse:
        """The state now; NOT_FOUND for a service that is not here."""
        if request.service not in self._services:
            await context.abort(
                grpc.StatusCode.NOT_FOUND, f"no service `{request.service}` is here"
            )
        return health_pb2.HealthCheckResponse(status=self._status(request.service))

    async def Watch(  # noqa: N802 - the wire's name
        self,
        request: health_pb2.HealthCheckRequest,
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> None:
        """The state now, then every change, until the end."""
        told = None
        while True:
            changed, ending = self._changed, self._ending
            status = self._status(request.service)
            if status != told:
                await context.write(health_pb2.HealthCheckResponse(status=status))
                told = status
            if ending:
                return
            await changed.wait()

    def _status(self, service: str) -> health_pb2.HealthCheckResponse.ServingStatus:
        if service not in self._services:
            return health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
        return (
            health_pb2.HealthCheckResponse.SERVING
            if self._serving
            else health_pb2.HealthCheckResponse.NOT_SERVING
        )

    def _tell(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
