"""Uploaded files: each in a folder nobody can guess, reached by its owner alone, and gone when its analysis ends."""

import hmac
import mimetypes
import secrets
from collections.abc import Iterable, Mapping
from contextlib import suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import gradio as gr
from gradio import processing_utils, route_utils
from gradio.data_classes import FileData, ListFiles
from starlette.datastructures import MutableHeaders
from starlette.formparsers import MultiPartException
from starlette.requests import Request, cookie_parser
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

from core.words import say
from ui.rights import VISITOR_HEADER

MAX_FILES = 16
"""Files that one request may upload; each is open while it lasts."""
MAX_FIELD = 4096
"""Bytes of a part that is no file; Gradio keeps those in memory."""
COOKIE = "telltale-browser"
SANDBOXED = {"Content-Security-Policy": "default-src 'none'; sandbox", "Cache-Control": "private, no-store"}

uploading: ContextVar[str] = ContextVar("uploading", default="")
"""Whose request this is; set by the door."""

_KEY = secrets.token_bytes(32)
"""Seals the names of folders; no upload outlives the process."""


def owner_of(user: str | None, headers: Mapping[str, str]) -> str:
    """Whose uploads a request may reach: a user's; on a public page those of a program's secret, or of a browser. Empty
    for who has told none of these: such uploads are anybody's who knows their address of 256 random bits."""
    if user:
        return f"user:{user}"
    if secret := headers.get(VISITOR_HEADER):
        return f"visitor:{secret}"
    known = cookie_parser(headers.get("cookie", "")).get(COOKIE)
    return f"browser:{known}" if known else ""


def uploader(request: gr.Request) -> str:
    """The same for a request that has come to a function of the page."""
    return owner_of(request.username, request.headers)


def know_again(request: Request, headers: MutableHeaders, *, framed: bool) -> None:
    """Gives a browser the cookie that says which uploads are its own: addresses of videos carry nothing else.

    `framed`: the page is shown inside another site's, where browsers keep a cookie only if it is bound to that site.
    """
    if COOKIE not in request.cookies:
        apart = "SameSite=None; Secure; Partitioned" if framed else "SameSite=Lax"
        headers.append("Set-Cookie", f"{COOKIE}={secrets.token_urlsafe(16)}; Path=/; HttpOnly; {apart}")


def _folder_for(owner: str, salt: str | None = None) -> str:
    """The name of a new folder, or of the one with this salt: 128 random bits, and a seal on them and the owner."""
    salt = salt or secrets.token_hex(16)
    return salt + hmac.digest(_KEY, f"{salt} {owner}".encode(), "sha256").hex()[:32]


class _Apart(route_utils.GradioUploadFile):
    """Gradio names the folder of an upload after its content, so two visitors with the same clip would share one file,
    and the end of one analysis would take it from the other."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sha = _Name(uploading.get())  # type: ignore[assignment]


class _Name:
    """Stands in for the hash of the content."""

    def __init__(self, owner: str) -> None:
        self._owner = owner

    def update(self, _: bytes) -> None: ...

    def hexdigest(self) -> str:
        return _folder_for(self._owner)


class _Parser(route_utils.GradioMultiPartParser):
    """With fewer parts at a time, small fields, and nothing left of an upload that breaks off."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs | {"max_files": MAX_FILES, "max_fields": MAX_FILES})

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        part = self._current_part
        if part.file is None and len(part.data) + end - start > MAX_FIELD:
            raise MultiPartException(f"A field exceeded the maximum allowed size of {MAX_FIELD} bytes.")
        super().on_part_data(data, start, end)

    async def parse(self) -> Any:
        try:
            return await super().parse()
        except BaseException:
            for file in self._files_to_close_on_error:
                file.close()
                Path(file.name).unlink(missing_ok=True)
            raise


async def _fetch_nothing(url: str, cache_dir: str) -> str:
    raise gr.Error(say("visit.fetched"), print_exception=False)


def keep_uploads_apart() -> None:
    """Gradio receives files by the rules above, and fetches none that a request names by its address elsewhere."""
    route_utils.GradioUploadFile = _Apart  # type: ignore[misc]
    route_utils.GradioMultiPartParser = _Parser  # type: ignore[misc]
    processing_utils.async_ssrf_protected_download = _fetch_nothing


def uploads_route(folder: Path) -> Route:
    """Hands out uploads to their owners, in the place of the route by which Gradio would hand them to anybody."""

    async def serve(request: Request) -> Response:
        path = Path(request.path_params["path"])
        if not is_upload(path, folder, owner_of(getattr(request.state, "caller", None), request.headers)):
            return PlainTextResponse("Not Found", 404)
        return hand_out(path, path.name)

    return Route("/gradio_api/file={path:path}", serve)


def hand_out(path: Path, name: str) -> Response:
    """A file that came from outside: as a video where its name says so, else to be saved; never as a page."""
    kind = mimetypes.guess_type(name)[0] or ""
    is_video = kind.startswith("video/")
    return FileResponse(
        path,
        headers=SANDBOXED,
        media_type=kind if is_video else "application/octet-stream",
        filename=name,
        content_disposition_type="inline" if is_video else "attachment",
    )


def several_files(**look: Any) -> gr.File:
    """A component for any number of files, as a list of paths.

    `gr.File` by itself leaves an empty temporary file for each one; a subclass would have a .pyi written beside it.
    """
    files = gr.File(file_count="multiple", **look)
    files.preprocess = _paths  # type: ignore[method-assign,assignment]
    return files


def _paths(payload: ListFiles | FileData | None) -> list[str]:
    return [file.path for file in payload.root] if isinstance(payload, ListFiles) else []


def is_upload(path: Path, folder: Path, owner: str) -> bool:
    """Whether a file is this owner's upload: in a folder of its own, named for them, inside the one of all uploads."""
    return _is_own(path, folder, owner) and path.is_file()


def _is_own(path: Path, folder: Path, owner: str) -> bool:
    try:
        own = path.resolve().parent
        return own.parent == folder.resolve() and own.name == _folder_for(owner, own.name[:32]) and not path.is_dir()
    except (OSError, ValueError):  # no file can have such a name
        return False


def put_apart(name: str, content: bytes, folder: Path, owner: str) -> Path:
    """Writes a file of ours where uploads lie, for one owner."""
    path = folder / _folder_for(owner) / name
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return path


def discard(paths: Iterable[Path], folder: Path, owner: str) -> None:
    """Deletes this owner's uploads, as far as a job has not taken them over, with the folders made for them; whatever
    else a request has named is left alone."""
    for path in paths:
        if _is_own(path, folder, owner):
            path.unlink(missing_ok=True)
            with suppress(OSError):  # another file lies there too, or it was gone before
                path.parent.rmdir()
