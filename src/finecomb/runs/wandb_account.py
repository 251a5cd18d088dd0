"""Whether there is a W&B account here, and so whether a mirror is online; whether W&B accepts what was requested; and its settings."""

from __future__ import annotations

import netrc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlparse

from finecomb.config.schema.logger import Wandb
from finecomb.config.sources import Origin
from finecomb.core.errors import ConfigError, Problem

# Names with x_ are W&B's to change, so that only those it knows are passed. Packages, code and machine stand in provenance.json.
_SETTINGS: dict[str, Any] = {
    "silent": True,
    "save_code": False,
    "disable_job_creation": True,
    "x_save_requirements": False,
    "init_timeout": 30,  # seconds to reach the server before the run is mirrored offline
    "finish_timeout": 60,  # seconds for the last upload
    "finish_timeout_raises": False,
}
# W&B's cloud has two names; `wandb login` stores the key under either, by its version.
_CLOUD = ("api.wandb.ai", "api.forge.coreweave.com")
_SHIPPED = "conf/logger/wandb.yaml"
_NOT_IN_PROJECTS = "/\\#?%:"


def mode(asked: str, environment: Mapping[str, str]) -> Any:
    """Online or offline (or what WANDB_MODE says), for logger.mode=auto by whether there is an account. Never asks."""
    if asked != "auto":
        return asked
    return environment.get("WANDB_MODE") or ("online" if has_account(environment) else "offline")


def has_account(environment: Mapping[str, str]) -> bool:
    """Whether a key for W&B's server is in the environment or in the netrc file. The key itself is not kept."""
    if environment.get("WANDB_API_KEY") or environment.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    try:
        known = netrc.netrc(environment.get("NETRC"))
        return any(known.authenticators(host) is not None for host in hosts(environment))
    except (OSError, netrc.NetrcParseError):
        return False


def hosts(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Names under which a key for W&B's server may be in the netrc file."""
    host = urlparse(environment.get("WANDB_BASE_URL") or f"https://{_CLOUD[0]}").hostname or ""
    return _CLOUD if host in _CLOUD else (host,)


def check(config: Wandb, origins: Mapping[str, Origin], environment: Mapping[str, str]) -> None:
    """Raise ConfigError, before anything trains, for an explicit request that W&B cannot meet.

    Explicit is `online` (logger.mode, or WANDB_MODE where the mode is auto), which needs an account that the server accepts; and an
    entity or project that does not come from the shipped file. Only where the run will be online, and only for an explicit request, the
    server is asked, once for each place. A project that does not exist yet is made by that, as the run would make it.
    """

    def where(key: str) -> str:
        return str(origins.get(key, key))

    by_environment = config.mode == "auto" and environment.get("WANDB_MODE") == "online"
    online, where_online = config.mode == "online" or by_environment, "WANDB_MODE=online" if by_environment else where("logger.mode")
    if any(letter in config.project for letter in _NOT_IN_PROJECTS) or len(config.project) > 128:
        allowed = f"at most 128 characters, none of {' '.join(_NOT_IN_PROJECTS)}"
        raise ConfigError(Problem(f"{config.project} cannot be the name of a W&B project", where("logger.project"), allowed))
    if online and not has_account(environment):
        what = "a W&B run was requested to be online, and there is no key for W&B's server"
        raise ConfigError(Problem(what, where_online, hint="run `wandb login`, set WANDB_API_KEY, or choose logger.mode=offline"))
    explicit = [key for key in ("logger.entity", "logger.project") if _is_explicit(key, config, origins)]
    if mode(config.mode, environment) != "online" or not (online or explicit):
        return
    answer = _answer(config.entity, config.project)
    # Secrets never reach a message.
    said = answer.said.replace(environment.get("WANDB_API_KEY") or "\0", "***")
    if not answer.logged_in and online:
        hint = "run `wandb login`, check WANDB_API_KEY and WANDB_BASE_URL, or choose logger.mode=offline"
        raise ConfigError(Problem(f"a W&B run was requested to be online, and W&B cannot be used: {said}", where_online, hint=hint))
    if answer.logged_in and not answer.accepted:
        place = f"{config.entity}/{config.project}" if config.entity else config.project
        hint = "name a team or project that you may write to, or choose logger.mode=offline"
        raise ConfigError(Problem(f"W&B refuses runs in {place}: {said}", where((explicit or ["logger.project"])[0]), hint=hint))


def _is_explicit(key: str, config: Wandb, origins: Mapping[str, Origin]) -> bool:
    set_by = origins.get(key)
    return getattr(config, key.partition(".")[2]) is not None and set_by is not None and set_by.source != _SHIPPED


@dataclass(frozen=True)
class _Answer:
    """What W&B's server answers: whether it knows the user, whether they may write to the place, and its words where not."""

    logged_in: bool
    accepted: bool = False
    said: str = ""


_answers: dict[tuple[str | None, str], _Answer] = {}


def _answer(entity: str | None, project: str) -> _Answer:
    if (entity, project) not in _answers:
        try:
            with _api() as api:
                _answers[entity, project] = _ask(api, entity, project)
        except Exception as error:  # W&B's client raises many kinds, none of them documented
            _answers[entity, project] = _Answer(logged_in=False, said=str(error))
    return _answers[entity, project]


def _ask(api: Any, entity: str | None, project: str) -> _Answer:
    """Whether runs may be written there. A project of one's own that exists is not touched."""
    user = api.viewer
    owner = entity or user.entity
    try:
        if owner not in (user.entity, user.username, *user.teams) or not _exists(api, owner, project):
            api.create_project(project, owner)
    except Exception as error:
        return _Answer(logged_in=True, said=str(error))
    return _Answer(logged_in=True, accepted=True)


def _exists(api: Any, owner: str, project: str) -> bool:
    try:
        return bool(api.project(project, owner).id)
    except Exception:
        return False


@contextmanager
def _api() -> Iterator[Any]:
    """W&B's public API; the process that W&B starts for it ends with it."""
    import wandb

    try:
        yield wandb.Api(timeout=30)
    finally:
        wandb.teardown()


def settings(*, system_metrics: bool = False, console: bool = False) -> Any:
    """How W&B is to behave in a mirror; settings that the installed version does not know are left out.

    system_metrics: log the use of the machine over time. console: log what this process prints.
    """
    import wandb

    chosen = _SETTINGS | {"x_disable_stats": not system_metrics, "console": "wrap" if console else "off"}
    return wandb.Settings(**{name: value for name, value in chosen.items() if name in wandb.Settings.model_fields})
