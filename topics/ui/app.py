"""The pages as a web application."""

from aiohttp import web
from aiohttp.hdrs import SERVER

from topics.kafka.settings import KafkaSettings
from topics.ui.pages import Pages
from topics.ui.security import errors_as_text, same_origin_only


def application(cluster: KafkaSettings) -> web.Application:
    """Return the application of the pages of a cluster, with its middlewares."""
    app = web.Application(middlewares=[same_origin_only, errors_as_text])
    app.add_routes(Pages(cluster).routes())
    app.on_response_prepare.append(_without_versions)
    return app


async def _without_versions(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers[SERVER] = "shop"  # else it has the versions of aiohttp and Python
