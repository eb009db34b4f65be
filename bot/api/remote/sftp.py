"""/api/remote/sftp/auth: a node asks whether somebody may sign in. Refusals are 4xx, which a node shows as invalid credentials."""

from aiohttp import web

from bot.api.auth import node_of
from bot.api.bodies import answer, read
from core.protocol.remote import SftpAuth
from core.services.sign_ins import SignIns


class RemoteSftp:
    def __init__(self, sign_ins: SignIns) -> None:
        self._sign_ins = sign_ins

    async def auth(self, request: web.Request) -> web.Response:
        return answer(await self._sign_ins.sftp(node_of(request), await read(request, SftpAuth)))
