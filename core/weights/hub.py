"""Files that come over the network, from the Hub or a fixed address, and the operator's own repository of them.

Downloads go on where they broke off, and nothing is kept whose hash is wrong.
"""

import io
import os
import shlex
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from tqdm import tqdm

from core.errors import WeightsError
from core.settings import Settings
from core.weights.conversion import adopt, write_record
from core.weights.manifest import Weights, WeightsFile, hub_address
from core.weights.store import (
    COMMAND,
    Record,
    by_hand,
    check,
    converted_name,
    find,
    locate,
    record_of,
    require_consent,
    sha256_of,
    state,
    store,
)

TIMEOUT_S = 15
MOST_BYTES = 4 << 30
"""Where the manifest gives no size."""

CARD = """---
license: other
---
Weights for Telltale, converted to safetensors from the files their authors published. Each set keeps its own licence:

| set | made from | licence |
|---|---|---|
"""


def fetch(weights: Weights, settings: Settings) -> dict[str, Path]:
    """Brings what is missing into the data folder, verified, and returns the files by role.

    From the operator's folder or repository where they have it, else from where it was published.

    Raises:
        WeightsError: its licence was not accepted, it is not offered for download, the address cannot be reached, or
            what came is not the file the manifest names.
    """
    for file in weights.files:
        if find(weights, file, settings) is None:
            _fetch(weights, file, settings)
    return locate(weights, settings)


def publish(repository: str, sets: Iterable[Weights], settings: Settings) -> str:
    """Puts the converted files of these sets into the operator's own repository on the Hub, made private if it is new.

    Returns:
        What TELLTALE_HUB_NAMESPACE must be for other machines to fetch them from there.

    Raises:
        WeightsError: nothing was converted yet, a file is not what its record says, the repository is public although
            a licence restricts the use, or the Hub refuses.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    files: dict[Path, Path] = {}
    card, restricted = CARD, set()
    for weights in sets:
        if state(weights, settings).kind not in ("ready", "refused"):
            continue
        found = locate(weights, settings)
        for file in (file for file in weights.files if file.convert):
            name, path = Path(converted_name(weights, file)), found[file.role]
            files |= {name: path, record_of(name): record_of(path)}
            card += f"| {weights.id} | {file.name} | {weights.licence} |\n"
            if not weights.commercial_use:
                restricted.add(weights.licence)
    if not files:
        raise WeightsError(f"Nothing was converted here yet; `{COMMAND} list` shows what can be imported or fetched.")
    operations = [CommitOperationAdd(name.as_posix(), path) for name, path in files.items()]
    operations.append(CommitOperationAdd("README.md", card.encode()))
    with _explained(repository):
        hub = HfApi(endpoint=_endpoint())
        hub.create_repo(repository, private=True, exist_ok=True)
        if restricted and not hub.repo_info(repository).private:
            raise WeightsError(
                f"{repository} is public, and {', '.join(sorted(restricted))} does not allow that; make it private."
            )
        commit = hub.create_commit(repository, operations, commit_message="Add converted weights")
    return f"{repository}@{commit.oid}"


def _fetch(weights: Weights, file: WeightsFile, settings: Settings) -> None:
    require_consent(weights, settings)
    if settings.hub_namespace and file.convert and _from_own(settings.hub_namespace, weights, file, settings):
        return
    if weights.source not in ("hub", "url") or not file.is_known:
        command = f"{COMMAND} import {weights.id} {shlex.quote(file.name)}"
        raise WeightsError(f"{weights.id} is not offered for download; {by_hand(file, command)}.")
    _from_publisher(weights, file, settings)


def _from_own(namespace: str, weights: Weights, file: WeightsFile, settings: Settings) -> bool:
    """From the operator's repository; False where it does not have the file."""
    from huggingface_hub.errors import EntryNotFoundError

    repository, revision = namespace.split("@")
    name = converted_name(weights, file)
    kept, note = store(settings) / name, io.BytesIO()
    with _explained(repository, revision):
        try:
            _from_hub(repository, revision, record_of(Path(name)).as_posix(), note)
        except EntryNotFoundError:
            return False
        record = Record.parse(note.getvalue())
        with _partial(record.sha256, settings) as part:
            with part.open("ab") as stream:
                _from_hub(repository, revision, name, stream)
            if sha256_of(part) != record.sha256:
                part.unlink()
                raise WeightsError(f"{name} in {repository} is not what its record says; nothing was kept.")
            kept.parent.mkdir(parents=True, exist_ok=True)
            os.replace(part, kept)
    write_record(kept, record)
    return True


def _from_publisher(weights: Weights, file: WeightsFile, settings: Settings) -> None:
    with _partial(file.sha256 or file.git_sha1 or "", settings) as part:
        if weights.source == "hub":
            repository, revision, path = hub_address(file.address)
            with _explained(repository, revision), part.open("ab") as stream:
                _from_hub(repository, revision, path, stream)
        else:
            _from_url(file, part)
        try:
            check(file, part)
        except WeightsError as error:
            part.unlink()
            raise WeightsError(f"What came from {file.address} was refused, and nothing was kept. {error}") from error
        if file.convert:
            adopt(weights, file, part, settings)
        else:
            kept = store(settings) / weights.detector / file.name
            kept.parent.mkdir(parents=True, exist_ok=True)
            os.replace(part, kept)


def _from_hub(repository: str, revision: str, path: str, stream: BinaryIO) -> None:
    """Writes a file of the Hub to a stream, going on where it ends.

    With the client's parts rather than its `hf_hub_download`, which asks a dead server for 23 seconds before it says
    so, and throws away what a broken download has brought.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers

    url = hf_hub_url(repository, path, revision=revision, endpoint=_endpoint())
    size = get_hf_file_metadata(url, timeout=TIMEOUT_S).size
    begun = stream.tell()
    http_get(url, stream, resume_size=begun, headers=build_hf_headers(), expected_size=size, tqdm_class=tqdm)


def _from_url(file: WeightsFile, part: Path) -> None:
    """Writes what lies at a fixed address to a file, going on where it ends."""
    begun = part.stat().st_size if part.exists() else 0
    request = Request(file.address, headers={"Range": f"bytes={begun}-"} if begun else {})
    try:
        with urlopen(request, timeout=TIMEOUT_S) as reply:
            begun = begun if reply.status == 206 else 0
            end = begun + int(reply.headers["Content-Length"] or 0)
            with (
                part.open("ab" if begun else "wb") as stream,
                tqdm(desc=file.name, total=file.bytes or end or None, initial=begun, unit="B", unit_scale=True) as bar,
            ):
                while chunk := reply.read(1 << 16):
                    bar.update(stream.write(chunk))
                    if stream.tell() > (file.bytes or MOST_BYTES):
                        break  # not our file; the hash will say so
                else:
                    if stream.tell() < end:
                        raise URLError(f"broke off after {stream.tell():,} of {end:,} bytes")
    except (OSError, ValueError) as error:
        if isinstance(error, HTTPError) and error.code == 416:
            return  # nothing is missing
        reason = getattr(error, "reason", None) or error
        raise WeightsError(
            f"{file.address} could not be reached or read to its end ({reason}); run the command again to go on, or "
            f"place {file.name} in the folder named by TELLTALE_WEIGHTS."
        ) from error


def _endpoint() -> str | None:
    """The operator's choice as it is now; the client reads it when it is imported, which may be long ago."""
    return os.environ.get("HF_ENDPOINT") or None


@contextmanager
def _partial(name: str, settings: Settings) -> Iterator[Path]:
    """Where a download grows; what is there of it stays for the next time if the network fails."""
    part = store(settings) / "partial" / name
    part.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield part
        part.unlink(missing_ok=True)
    finally:
        if part.exists() and not part.stat().st_size:
            part.unlink()


@contextmanager
def _explained(repository: str, revision: str = "main") -> Iterator[None]:
    """Turns what the Hub's client raises into one sentence with the way out."""
    from httpx2 import HTTPError as ClientError
    from huggingface_hub import errors

    try:
        yield
    except errors.GatedRepoError as error:
        raise WeightsError(
            f"{repository} asks for consent to its terms: give it on its page on the Hub, and set HF_TOKEN to a token "
            "of that account."
        ) from error
    except errors.RevisionNotFoundError as error:
        raise WeightsError(f"{repository} has no revision {revision}; its owner may have rewritten it.") from error
    except errors.RepositoryNotFoundError as error:
        raise WeightsError(
            f"{repository} is not on the Hub, or private: set HF_TOKEN to a token that may read it."
        ) from error
    except errors.EntryNotFoundError as error:
        raise WeightsError(f"{repository} has no such file at revision {revision}.") from error
    except errors.OfflineModeIsEnabled as error:
        raise WeightsError("The Hub may not be asked while HF_HUB_OFFLINE is set.") from error
    except (OSError, ClientError, errors.HFValidationError) as error:
        raise WeightsError(
            f"The Hub could not be reached or did not serve {repository} ({str(error).partition(chr(10))[0]}); "
            "run the command again to go on."
        ) from error
