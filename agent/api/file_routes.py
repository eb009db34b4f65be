"""The routes of a server's files: the control plane's below `/api/servers/{server}`, and those that signed addresses open."""

from aiohttp import web

from agent.api import archives, backups, files, people, pulls


def routes(server: str) -> list[web.RouteDef]:
    """`server` is the path of one server."""
    below, aerie = f"{server}/files", server.replace("/api/", "/api/aerie/", 1)
    return [
        web.get("/download/file", people.download_file),
        web.post("/upload/file", people.upload_file),
        web.get(f"{below}/contents", files.contents),
        web.get(f"{below}/list-directory", files.list_directory),
        web.post(f"{below}/write", files.write),
        web.put(f"{below}/rename", files.rename),
        web.post(f"{below}/copy", files.copy),
        web.post(f"{below}/delete", files.delete),
        web.post(f"{below}/create-directory", files.create_directory),
        web.post(f"{below}/chmod", files.chmod),
        web.post(f"{below}/compress", archives.compress),
        web.post(f"{below}/decompress", archives.decompress),
        web.get(f"{below}/pull", pulls.index),
        web.post(f"{below}/pull", pulls.begin),
        web.delete(f"{below}/pull/{{pull}}", pulls.cancel),
        web.get("/download/backup", backups.download),
        web.post(f"{server}/backup", backups.begin),
        web.post(f"{server}/backup/{{backup}}/restore", backups.restore),
        web.delete(f"{server}/backup/{{backup}}", backups.delete),
        web.get(f"{aerie}/backups", backups.index),
        web.get(f"{aerie}/backups/{{backup}}/files", backups.browse),
        web.get(f"{aerie}/backups/{{backup}}/contents", backups.contents),
        web.post(f"{aerie}/backups/{{backup}}/prove", backups.prove),
    ]
