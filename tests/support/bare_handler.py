"""The least that answers over HTTP with the same libraries: one route, one ready-made answer."""

import asyncio
import json
import os
import sys

import uvloop
from aiohttp import web

__all__: list[str] = []


async def serve(route: str, headers: dict[str, str], body: bytes) -> None:
    """Answer whatever the route matches with these bytes until standard input ends; prints the port."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body, headers=headers)

    app = web.Application()
    app.router.add_get(route, answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    plan = json.loads(sys.argv[1])
    os.sched_setaffinity(0, {plan["core"]})
    uvloop.run(serve(plan["route"], plan["headers"], plan["body"].encode()))
