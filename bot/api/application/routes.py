"""The table of the Application API: method, address, resource, right, handler. docs/api.md says the same in words."""

from aiohttp import web

from bot.api.application.places import LocationRoutes, NestRoutes, NodeRoutes
from bot.api.application.servers import ServerRoutes
from bot.api.application.users import UserRoutes
from bot.api.auth import KeyAuth
from bot.api.errors import Handler
from core.services.api_keys import READ, WRITE
from core.services.build import Services
from core.vocabulary import Resource

BASE = "/api/application"

Row = tuple[str, str, Resource, int, Handler]


def application_routes(services: Services, auth: KeyAuth) -> list[web.RouteDef]:
    return [
        web.route(method, BASE + path, auth.application(resource, right)(handler))
        for method, path, resource, right, handler in [*_people(services), *_places(services), *_servers(services)]
    ]


def _people(services: Services) -> list[Row]:
    users = UserRoutes(services.people, services.directory)
    return [
        ("GET", "/users", Resource.USERS, READ, users.listing),
        ("POST", "/users", Resource.USERS, WRITE, users.create),
        ("GET", "/users/external/{external_id}", Resource.USERS, READ, users.external),
        ("GET", "/users/{id}", Resource.USERS, READ, users.show),
        ("PATCH", "/users/{id}", Resource.USERS, WRITE, users.update),
        ("DELETE", "/users/{id}", Resource.USERS, WRITE, users.delete),
    ]


def _places(services: Services) -> list[Row]:
    locations, nodes, nests = LocationRoutes(services), NodeRoutes(services), NestRoutes(services)
    return [
        ("GET", "/locations", Resource.LOCATIONS, READ, locations.listing),
        ("POST", "/locations", Resource.LOCATIONS, WRITE, locations.create),
        ("GET", "/locations/{id}", Resource.LOCATIONS, READ, locations.show),
        ("PATCH", "/locations/{id}", Resource.LOCATIONS, WRITE, locations.update),
        ("DELETE", "/locations/{id}", Resource.LOCATIONS, WRITE, locations.delete),
        ("GET", "/nodes", Resource.NODES, READ, nodes.listing),
        ("POST", "/nodes", Resource.NODES, WRITE, nodes.create),
        ("GET", "/nodes/deployable", Resource.NODES, READ, nodes.deployable),
        ("GET", "/nodes/{id}", Resource.NODES, READ, nodes.show),
        ("PATCH", "/nodes/{id}", Resource.NODES, WRITE, nodes.update),
        ("DELETE", "/nodes/{id}", Resource.NODES, WRITE, nodes.delete),
        ("GET", "/nodes/{id}/configuration", Resource.NODES, READ, nodes.configuration),
        ("GET", "/nodes/{id}/allocations", Resource.ALLOCATIONS, READ, nodes.allocations),
        ("POST", "/nodes/{id}/allocations", Resource.ALLOCATIONS, WRITE, nodes.add_allocations),
        ("DELETE", "/nodes/{id}/allocations/{allocation}", Resource.ALLOCATIONS, WRITE, nodes.delete_allocation),
        ("GET", "/nests", Resource.NESTS, READ, nests.listing),
        ("GET", "/nests/{id}", Resource.NESTS, READ, nests.show),
        ("GET", "/nests/{id}/eggs", Resource.EGGS, READ, nests.eggs),
        ("GET", "/nests/{id}/eggs/{egg}", Resource.EGGS, READ, nests.egg),
    ]


def _servers(services: Services) -> list[Row]:
    servers = ServerRoutes(services)
    return [
        ("GET", "/servers", Resource.SERVERS, READ, servers.listing),
        ("POST", "/servers", Resource.SERVERS, WRITE, servers.create),
        ("GET", "/servers/external/{external_id}", Resource.SERVERS, READ, servers.external),
        ("GET", "/servers/{id}", Resource.SERVERS, READ, servers.show),
        ("PATCH", "/servers/{id}/details", Resource.SERVERS, WRITE, servers.details),
        ("PATCH", "/servers/{id}/build", Resource.SERVERS, WRITE, servers.build),
        ("PATCH", "/servers/{id}/startup", Resource.SERVERS, WRITE, servers.startup),
        ("POST", "/servers/{id}/suspend", Resource.SERVERS, WRITE, servers.suspend),
        ("POST", "/servers/{id}/unsuspend", Resource.SERVERS, WRITE, servers.unsuspend),
        ("POST", "/servers/{id}/reinstall", Resource.SERVERS, WRITE, servers.reinstall),
        ("DELETE", "/servers/{id}", Resource.SERVERS, WRITE, servers.delete),
        ("DELETE", "/servers/{id}/force", Resource.SERVERS, WRITE, servers.force_delete),
    ]
