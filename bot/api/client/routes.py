"""The table of the Client API: method, address, handler. docs/api.md says the same in words, and a test compares the two."""

from aiohttp import web

from bot.api.auth import KeyAuth
from bot.api.client.account import AccountRoutes
from bot.api.client.backups import BackupRoutes
from bot.api.client.gate import Gate
from bot.api.client.network import NetworkRoutes
from bot.api.client.servers import ServerRoutes
from bot.api.client.settings import SettingsRoutes
from core.services.build import Services

SERVER = "/api/client/servers/{server}"


def client_routes(services: Services, auth: KeyAuth) -> list[web.RouteDef]:
    gate = Gate(services.access)
    account, servers = AccountRoutes(services.api_keys, services.directory), ServerRoutes(services, gate)
    settings, network = SettingsRoutes(services, gate), NetworkRoutes(services.network, gate)
    backups, backup = BackupRoutes(services.backups, gate), f"{SERVER}/backups/{{backup}}"
    allocation = f"{SERVER}/network/allocations/{{allocation}}"
    table = [
        ("GET", "/api/client", servers.listing),
        ("GET", "/api/client/permissions", account.permissions),
        ("GET", "/api/client/account", account.show),
        ("GET", "/api/client/account/activity", account.activity),
        ("GET", "/api/client/account/api-keys", account.keys),
        ("POST", "/api/client/account/api-keys", account.create_key),
        ("DELETE", "/api/client/account/api-keys/{identifier}", account.delete_key),
        ("GET", SERVER, servers.show),
        ("GET", f"{SERVER}/websocket", servers.websocket),
        ("GET", f"{SERVER}/resources", servers.resources),
        ("GET", f"{SERVER}/activity", servers.activity),
        ("POST", f"{SERVER}/command", servers.command),
        ("POST", f"{SERVER}/power", servers.power),
        ("GET", f"{SERVER}/startup", settings.startup),
        ("PUT", f"{SERVER}/startup/variable", settings.set_variable),
        ("POST", f"{SERVER}/settings/rename", settings.rename),
        ("POST", f"{SERVER}/settings/reinstall", settings.reinstall),
        ("PUT", f"{SERVER}/settings/docker-image", settings.set_image),
        ("GET", f"{SERVER}/network/allocations", network.listing),
        ("POST", f"{SERVER}/network/allocations", network.take),
        ("POST", allocation, network.annotate),
        ("POST", f"{allocation}/primary", network.make_primary),
        ("DELETE", allocation, network.give_back),
        ("GET", f"{SERVER}/backups", backups.listing),
        ("POST", f"{SERVER}/backups", backups.create),
        ("GET", backup, backups.show),
        ("GET", f"{backup}/download", backups.download),
        ("POST", f"{backup}/lock", backups.lock),
        ("POST", f"{backup}/restore", backups.restore),
        ("DELETE", backup, backups.delete),
        ("GET", f"{SERVER}/users", settings.users),
        ("GET", f"{SERVER}/users/{{user}}", settings.user),
    ]
    return [web.route(method, path, auth.client(handler)) for method, path, handler in table]
