"""A network that can lose a peer without a word."""

import asyncio


class Tunnel:
    """What lies between two machines: at will it loses what its old connections carry."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._open: list[asyncio.Event] = []

    def lose(self) -> None:
        """Carry nothing more over the connections there are; new ones work."""
        for lost in self._open:
            lost.set()

    async def connect(self, near: asyncio.StreamReader, far: asyncio.StreamWriter) -> None:
        """Serve one connection; to be given to `asyncio.start_server`."""
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        lost = asyncio.Event()
        self._open.append(lost)
        async with asyncio.TaskGroup() as ways:
            ways.create_task(self._carry(near, back, lost))
            ways.create_task(self._carry(there, far, lost))

    async def _carry(
        self,
        source: asyncio.StreamReader,
        target: asyncio.StreamWriter,
        lost: asyncio.Event,
    ) -> None:
        while data := await source.read(2**16):
            if not lost.is_set():
                target.write(data)
        target.close()
