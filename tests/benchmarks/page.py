"""What the page costs: memory and processor time of the whole program with clients, bytes, and time in a browser."""

import asyncio
import gzip
import json
import subprocess
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from playwright.async_api import async_playwright
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Origin

from jkbms_addon.page import files, history_file
from jkbms_addon.page.place import Place
from tests.benchmarks import costs
from tests.benchmarks.figures import microseconds, show
from tests.conftest import free_port, mosquitto
from tests.page import weight
from tests.page.browser import CHROMIUM, FLAGS
from tests.page.ingress import front
from tests.page.stage import Battery, Stage, batteries, served
from tests.page.test_cadence import hammered, jitter

TOKEN = "benchmark of the page"
IMPORT = "import time, resource; b = resource.getrusage(0).ru_maxrss; s = time.perf_counter(); {0}; print({1})"
SLOW = 4  # times that the browser's processor is slowed down


def imported() -> None:
    """Time and memory of importing the page on top of the program."""
    told = "(time.perf_counter() - s) * 1e3, (resource.getrusage(0).ru_maxrss - b) / 1024"
    code = "import jkbms_addon.app; " + IMPORT.format("import jkbms_addon.page.server", told)
    command = [sys.executable, "-c", code]
    runs = [subprocess.run(command, capture_output=True, check=True, text=True).stdout for _ in range(5)]
    pairs = [[float(one) for one in run.split()] for run in runs]
    show("import of the page", min(one for one, _ in pairs), "ms", 30)
    show("memory of that import", min(one for _, one in pairs), "MiB", 1)


def first_load() -> None:
    """Bytes and requests until the overview with its chart is there."""
    needed = weight.first_load(files.load())
    show("first load of the page, gzip", sum(len(gzip.compress(body, 6)) for body in needed) / 1024, "KiB", 90)
    show("requests of the first load", len(needed), "files", 30)


async def joined(port: int) -> ClientConnection:
    """A client that has said hello."""
    url, origin = f"ws://127.0.0.1:{port}/live", Origin(f"http://127.0.0.1:{port}")
    client = await connect(url, origin=origin, max_size=None)
    await client.send(json.dumps({"t": "hello", "token": TOKEN}))
    return client


async def streamed(port: int, clients: int, seconds: float) -> tuple[int, float]:
    """Bytes until everything is known, and bytes a second and client afterwards."""
    opened = [await joined(port) for _ in range(clients)]
    first = sum([len(await client.recv()) for client in opened for _ in range(2)]) // clients
    later = 0

    async def read(client: ClientConnection) -> None:
        nonlocal later
        while True:
            later += len(await client.recv())

    readers = [asyncio.create_task(read(client)) for client in opened]
    await asyncio.sleep(seconds)
    for reader in readers:
        reader.cancel()
    await asyncio.gather(*readers, return_exceptions=True)
    for client in opened:
        await client.close()
    return first, later / seconds / clients


async def whole_program(seconds: float) -> None:
    """The program with 15 batteries and a full history: without clients, and with three."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        filled = Stage(folder, [Battery("b", n) for n in range(1, 16)])
        filled.past()
        history_file.write(folder / history_file.NAME, *history_file.packed(filled.sources.history))
        broker = await stack.enter_async_context(mosquitto(folder))
        scene = await stack.enter_async_context(costs.master(15))
        port = free_port()
        content = {**costs.options(scene, broker.port), "page": {"port": port, "token": TOKEN}}
        process = await stack.enter_async_context(costs.program(content, folder))
        await asyncio.sleep(60)
        busy, began = costs.cpu_seconds(process.pid), time.monotonic()
        await asyncio.sleep(seconds)
        idle = (costs.cpu_seconds(process.pid) - busy) / (time.monotonic() - began) * 100
        busy, began = costs.cpu_seconds(process.pid), time.monotonic()
        first, later = await streamed(port, 3, seconds)
        watched = (costs.cpu_seconds(process.pid) - busy) / (time.monotonic() - began) * 100
        show("RSS, 15 BMS, history full, 3 clients of the page", costs.rss(process.pid), "MiB", 50)
        show("CPU for 3 clients of the page", watched - idle, "% of a core", 1)
        show("stream to a client, 15 BMS, first", first / 1000, "kB", 40)
        show("stream to a client, 15 BMS, afterwards", later / 1000, "kB/s", 12)


async def late(seconds: float) -> None:
    """Jitter of a loop like the sender's while twelve clients hammer."""
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(Path(folder), batteries(15))
        stage.past()
        async with served(stage) as place:
            show("cadence jitter p99, nobody looks", await jitter(seconds) * 1e3, "ms", 20)
            async with hammered(place.port):
                await asyncio.sleep(1)
                show("cadence jitter p99, 12 clients hammer", await jitter(seconds) * 1e3, "ms", 20)


PAINTED = """() => new Promise((done) => {
  const look = () => document.querySelector('.pack')
    ? requestAnimationFrame(() => done(performance.now())) : setTimeout(look, 5);
  look();
})"""
FIRST = "() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime"


async def browser() -> None:
    """First paint, data painted and script per update on a phone's width, slowed down, through the proxy."""
    if CHROMIUM is None:
        return
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stage = Stage(folder, batteries(15))
        place = Place("127.0.0.1", free_port(), peer="127.0.0.2")
        await stack.enter_async_context(served(stage, place))
        seen = await stack.enter_async_context(front(place.port, "127.0.0.2"))
        tool = await stack.enter_async_context(async_playwright())
        running = await tool.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        firsts, datas = [], []
        for _ in range(5):
            page = await running.new_page(viewport={"width": 390, "height": 844})
            session = await page.context.new_cdp_session(page)
            await session.send("Emulation.setCPUThrottlingRate", {"rate": SLOW})
            await page.goto(seen.url, wait_until="commit")
            datas.append(float(await page.evaluate(PAINTED)))
            firsts.append(float(await page.evaluate(FIRST) or datas[-1]))
            await page.close()
        show("first paint at 4x slow-down", sorted(firsts)[2], "ms", 600)
        show("data painted at 4x slow-down", sorted(datas)[2], "ms", 1500)
        show("script per update at 4x slow-down, 15 BMS", await _script(running, seen.url), "ms", 40)
        await running.close()


async def _script(running: Any, url: str) -> float:
    """Time in scripts of one update, all packs new, ms."""
    page = await running.new_page(viewport={"width": 390, "height": 844})
    session = await page.context.new_cdp_session(page)
    await session.send("Performance.enable")
    await session.send("Emulation.setCPUThrottlingRate", {"rate": SLOW})
    await page.goto(url)
    await page.wait_for_selector(".pack")
    await asyncio.sleep(3)

    async def spent() -> float:
        told = await session.send("Performance.getMetrics")
        return next(float(one["value"]) for one in told["metrics"] if one["name"] == "ScriptDuration")

    before = await spent()
    await asyncio.sleep(10)
    return (await spent() - before) / 10 * 1000


def sampling() -> None:
    """What one scene of 15 batteries costs, and one look of the recorder."""
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(Path(folder), batteries(15))
        show("one look of the recorder, 15 BMS", microseconds(stage.recorder.look, 200) / 1000, "ms")


def measure(seconds: float = 20) -> None:
    """All of it."""
    imported()
    first_load()
    sampling()
    asyncio.run(late(10))
    asyncio.run(browser())
    asyncio.run(whole_program(seconds))
