"""The one reader of the environment: every setting is a variable `MICROLITH_…`, read once and passed in."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app.cores import cores_given
from app.domain.queues import QUEUES
from app.sources.allowed_paths import Folders
from microlith.contract import Kind

TRY_DAYS = 1.0
"""How long what a module made of a few texts is kept at most: it is looked at once, and the texts are somebody's."""

DOOR = ("api_key", "token", "ask_token", "forwarded_allow_ips", "host", "port")
"""What is about callers alone: a worker, which has none, is not told."""


class Settings(BaseSettings):
    """How this process is set up. Without URLs the embedded default brings its own database, broker and store."""

    model_config = SettingsConfigDict(env_prefix="MICROLITH_", env_ignore_empty=True, frozen=True)

    database_url: str | None = Field(None, description="The PostgreSQL database, as an SQLAlchemy URL.")
    broker_url: str | None = Field(None, description="The broker: Redis or Valkey.")
    object_store_url: str | None = Field(
        None, description="The object store: `s3://bucket[/prefix]` or `file:///folder`."
    )
    s3_endpoint: str | None = Field(None, description="The S3 server. Default: Amazon's.")
    s3_public_endpoint: str | None = Field(
        None, description="The address in presigned links, if clients reach the store by another one."
    )
    s3_access_key: str | None = Field(
        None, description="The S3 access key. Without it, the machine's own credentials are used."
    )
    s3_secret_key: SecretStr | None = Field(None, description="The secret that belongs to the access key.")
    s3_region: str = Field("us-east-1", description="The region that requests are signed for.")

    data_dir: Path = Field(Path("~/.microlith"), description="The folder where the embedded default keeps everything.")
    host: str = Field("127.0.0.1", description="The address to listen on. Outside loopback a key is required.")
    port: int = Field(8000, ge=0, le=65535, description="The port to listen on.")
    api_key: SecretStr | None = Field(
        None, description="The bearer key that callers must send. Required outside loopback."
    )
    token: SecretStr | None = Field(
        None, description="The token that other users of the machine need if there is no key. `serve` makes one."
    )
    ask_token: bool = Field(
        True,
        description="Without a key, require the token from every user of the machine except the one who started the "
        "server.",
    )
    forwarded_allow_ips: str = Field(
        "127.0.0.1",
        description="Proxies whose `X-Forwarded-Proto` and `X-Forwarded-For` are trusted if there is a key: "
        "addresses and networks, separated by commas.",
    )
    allow_paths: Annotated[tuple[Path, ...] | None, NoDecode] = Field(
        None,
        description="Folders that `path:` references may name, separated by colons, on loopback without a key. The "
        "embedded default uses its working directory.",
    )
    max_body_bytes: int = Field(
        1_000_000, description="The maximum size of a request body that is not an uploaded file."
    )
    max_upload_bytes: int = Field(
        5_000_000_000,
        ge=1,
        le=5 * 1024**3,
        description="The maximum size of an uploaded file. S3 accepts 5 GiB in one PUT.",
    )
    cache_bytes: int = Field(
        20_000_000_000,
        ge=0,
        description="The maximum size of `cache` in the data folder, which holds unpacked uploads and tokenised "
        "splits.",
    )

    device: str = Field("auto", description="`auto` uses CUDA if there is a GPU. Or `cpu`, `cuda:1`, …")
    threads: int = Field(
        default_factory=cores_given,
        ge=1,
        description="The number of torch's threads. Default: the number of available cores.",
    )
    lease_seconds: float = Field(30.0, gt=0, description="Seconds after which a silent worker loses its job.")
    heartbeat_seconds: float = Field(
        2.0,
        gt=0,
        description="Seconds between two heartbeats, by which a worker renews its lease and learns of cancels.",
    )
    max_attempts: int = Field(3, ge=1, description="How many workers may be lost on a job before it fails.")
    cancel_grace_seconds: float = Field(
        10.0, gt=0, description="Seconds after a cancel until the process of a job that does not stop is killed."
    )
    reaper_seconds: float = Field(5.0, gt=0, description="Seconds between two searches for lost jobs.")
    unheard_seconds: float = Field(
        15.0, ge=0, description="Seconds after which the message of an unclaimed job may be lost."
    )
    queues: str = Field("gpu,light", description="The queues that a worker serves: `gpu`, `light`, or both.")
    jobs_per_child: int = Field(
        1,
        ge=1,
        description="How many jobs a worker's process runs before it is replaced. A process that has grown large is "
        "replaced earlier. The embedded default is 100 without a GPU.",
    )
    light_worker: bool = Field(
        True, description="Start a second embedded worker for light jobs. It takes half a GB and mostly waits."
    )
    keep_days: float | None = Field(
        None, gt=0, description="Days after which finished jobs are deleted. Default: they are kept."
    )
    orphan_hours: float = Field(
        24.0, ge=0, description="Hours after which a stored object that nothing names is deleted."
    )
    sweep_hours: float = Field(1.0, gt=0, description="Hours between two sweeps that delete both.")
    log_json: bool = Field(False, description="Write each log line as a JSON object.")

    @model_validator(mode="after")
    def _guarded_outside_loopback(self) -> Settings:
        if not self.loopback and self.api_key is None:
            raise ValueError(
                f"will not listen on {self.host} without a key: set MICROLITH_API_KEY, or listen on 127.0.0.1"
            )
        if self.api_key is not None and len(self.api_key.get_secret_value()) < 16:
            raise ValueError("MICROLITH_API_KEY is too short: use at least 16 characters")
        if self.allow_paths and not self.serves_its_user:
            raise ValueError("only a server on loopback without a key accepts `path:` references: remove the folders")
        return self

    @field_validator("allow_paths", mode="before")
    @classmethod
    def _folders(cls, value: object) -> object:
        return [part for part in value.split(os.pathsep) if part] if isinstance(value, str) else value

    @field_validator("allow_paths")
    @classmethod
    def _resolved(cls, value: tuple[Path, ...] | None) -> tuple[Path, ...] | None:
        if value is None:
            return None
        for folder in value:
            if not folder.expanduser().is_dir():
                raise ValueError(f"there is no folder {folder}")
        return tuple(folder.expanduser().resolve() for folder in value)

    @field_validator("queues")
    @classmethod
    def _known(cls, value: str) -> str:
        known = sorted(set(QUEUES.values()))
        unknown = sorted(set(value.split(",")) - set(known))
        if unknown:
            raise ValueError(f"there is no queue {', '.join(unknown)}; known are {', '.join(known)}")
        return value

    @property
    def cache_dir(self) -> Path:
        """Where uploads arrive and are unpacked, and tokenised splits are kept."""
        return self.data_dir.expanduser() / "cache"

    @property
    def kinds(self) -> list[Kind]:
        """The kinds of jobs that a worker takes from the queues it serves."""
        return [kind for kind, queue in QUEUES.items() if queue in self.queues.split(",")]

    def days_kept(self, kind: Kind) -> float | None:
        """How long a finished job of this kind stays; None is for ever."""
        if kind != "predict":
            return self.keep_days
        return min(TRY_DAYS, self.keep_days or TRY_DAYS)

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def serves_its_user(self) -> bool:
        """Whether it is there for who started it alone: on loopback, without a key."""
        return self.loopback and self.api_key is None

    @property
    def secret(self) -> str | None:
        """What callers show: the key, or else the token."""
        shown = self.api_key or self.token
        return shown.get_secret_value() if shown else None

    @property
    def paths(self) -> Folders:
        """Where `path:` references may lead: nowhere into the data folder, whose files have owners of their own."""
        return Folders(self.allow_paths or (), (self.data_dir.expanduser().resolve(),))

    def environment(self, leaving: Iterable[str] = ()) -> dict[str, str]:
        """The variables that make a child process read just these settings, and the defaults of those left out."""
        values = self.model_dump(exclude=set(leaving))
        return {f"MICROLITH_{name.upper()}": _plain(value) for name, value in values.items() if value is not None}


def _plain(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return os.pathsep.join(map(str, value)) if isinstance(value, tuple) else str(value)
