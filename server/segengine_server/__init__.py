"""segengine over gRPC: `serve` answers for an engine, `Client` asks.

The folder is the way of a call: `app` puts a server together, `transport` takes the call,
`brief_calls` answers pages by `page_service` there and then, `audience_service`, `campaign_service`
and others answer the rest on the event loop, `work` keeps what is long off the event loop,
`convert` reads it from the wire, `engine_api` is what is asked of the engine, `convert` writes the
answer, `errors` says what went wrong; `client` is the other end, `connecting` how it gets there,
`sending` how batches do, `answers` what it gets. What campaigns have beside their audiences stands
in `campaign_convert`, `campaign_api` and `campaign_answers`; what is defined, and how that changes,
in `catalog_service`, `catalog_convert`, `catalog_api`, `catalog_answers` and `catalog_client`.
"""

from segengine_server.app import Limits, serve
from segengine_server.client import Client
from segengine_server.errors import ListenError, ServerError

__all__ = ["Client", "Limits", "ListenError", "ServerError", "serve"]
