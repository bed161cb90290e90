"""The words of the YAML: names, durations, GPU lists, flags, environments. Each says what it wants and how to say it.

Every checker takes what YAML gave and returns the value, or raises PydanticCustomError with one line and a hint.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from pdctl.model.deployment import ArgValue, Mount

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s*([A-Za-z]*)")
_UNITS_S = {"": 1.0, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LONG_UNITS = {"sec": "s", "second": "s", "min": "m", "minute": "m", "hr": "h", "hour": "h", "day": "d", "msec": "ms"}
_LONGEST_S = 366 * 86400.0
_GPU_RANGE = re.compile(r"(\d{1,4})(?:\s*-\s*(\d{1,4}))?")
_ARG = re.compile(r"[a-z][a-z0-9-]*(\.[A-Za-z0-9_.-]+)?")
_ENV = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,252}[A-Za-z0-9])?")
_MOUNT = re.compile(r"(/[^,:\"\\]*)(?::(/[^,:\"\\]*))?(?::(ro|rw))?")
_LOGIN = re.compile(r"[a-z_][a-z0-9_-]{0,30}\$?")
_VERSION = re.compile(r"\d{1,4}(\.\d{1,4}){1,2}")


def complain(message: str, hint: str = "") -> PydanticCustomError:
    """The error that carries a message and a hint through pydantic."""
    return PydanticCustomError("pdctl", "{text}", {"text": message, "hint": hint})


def show(value: object) -> str:
    """A value as a message quotes it: short, and with nothing that a terminal would act on."""
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    text = ascii(value) if isinstance(value, str) and not value.isprintable() else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def check_name(value: object) -> str:
    """A name of ours: 1 to 32 of a-z, 0-9 and -, not beginning with - (it would read as an option)."""
    if isinstance(value, str) and NAME.fullmatch(value):
        return value
    hint = ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        hint = "quote it, or it is read as a number"
    elif isinstance(value, str):
        better = re.sub(r"[^a-z0-9-]+", "-", value.lower()).strip("-")[:32]
        hint = f"for example `{better}`" if better else ""
    raise complain(f"must be 1 to 32 of a-z, 0-9 and -, not {show(value)}", hint)


def check_duration(value: object) -> float:
    """A time in seconds: a number, or text such as 1s, 50ms, 30m, 1.5h. Positive and at most a year."""
    wanted = "write it as 50ms, 1s, 30m, 1.5h or a number of seconds"
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value)
    else:
        match = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
        if match is None:
            raise complain(f"must be a duration, not {show(value)}", wanted)
        number, unit = match.groups()
        if unit not in _UNITS_S:
            short = _LONG_UNITS.get(unit.lower().rstrip("s")) or (unit.lower() if unit.lower() in _UNITS_S else "")
            raise complain(f"unknown unit of time {unit!r}", f"write `{number}{short}`" if short else wanted)
        seconds = float(number) * _UNITS_S[unit]
    if not 0 < seconds <= _LONGEST_S:
        raise complain(f"must be longer than 0 and at most a year, not {show(value)}", wanted)
    return seconds


def check_gpus(value: object) -> tuple[int, ...]:
    """GPU indices of a slot: `0-3`, `0,2` or a list; their order is kept."""
    wanted = "write 0-3, or 0,2, or [0, 2]"
    if isinstance(value, list | tuple):
        if not value or not all(isinstance(each, int) and not isinstance(each, bool) and each >= 0 for each in value):
            raise complain(f"must be a list of GPU numbers, not {list(value)!r}"[:120], wanted)
        return tuple(value)
    if isinstance(value, int) and not isinstance(value, bool):
        hint = f"write [{value}] for GPU {value} alone, 0-{value - 1} for {value} GPUs" if value > 1 else wanted
        raise complain(f"a bare {value} could be a GPU or a count of GPUs", hint)
    gpus: list[int] = []
    for item in value.split(",") if isinstance(value, str) else [""]:
        match = _GPU_RANGE.fullmatch(item.strip())
        if match is None:
            raise complain(f"must name GPUs, not {show(value)}", wanted)
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise complain(f"the range {item.strip()} runs backwards", f"write {last}-{first}")
        gpus += range(first, last + 1)
    return tuple(gpus)


def check_arg_name(value: object) -> str:
    """An engine flag's name without its dashes, as `vllm serve --help` spells it."""
    if isinstance(value, str) and _ARG.fullmatch(value):
        return value
    better = str(value).lstrip("-").replace("_", "-").lower()
    hint = f"write `{better}`" if _ARG.fullmatch(better) else ""
    raise complain(f"{show(value)} is not a flag's name: no dashes in front, - and not _ between words", hint)


def check_arg_value(value: object) -> ArgValue:
    """One flag's value: text, a number, true, false, or null to remove an inherited one."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str) and value.isprintable():
        return value
    raise complain(
        f"must be text, a number, true, false or null, not {show(value)}",
        "write JSON for the flag as one quoted string" if isinstance(value, dict | list) else "",
    )


def check_env_name(value: object) -> str:
    """An environment variable's name."""
    if isinstance(value, str) and _ENV.fullmatch(value):
        return value
    raise complain(f"{show(value)} is not an environment variable's name", "letters, digits and _, no digit first")


def check_env_value(value: object) -> str:
    """An environment variable's value: one line of text; a whole number is taken as written."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, str):
        if value.isprintable():
            return value
        raise complain("must be one line of printable text", "environment files hold one value a line")
    raise complain(f"must be text, not {show(value)}", "quote it")


def check_host(value: object) -> str:
    """A host name or an IP address."""
    if isinstance(value, str):
        if _HOST.fullmatch(value) or _is_ip(value, 6):
            return value
        if re.fullmatch(r"[^:]+:\d+", value):
            host, _, port = value.partition(":")
            raise complain(f"must be a host without a port, not {show(value)}", f"write host: {host}, port: {port}")
        if "://" in value:
            raise complain(f"must be a host, not the URL {show(value)}")
    raise complain(f"must be a host name or an address, not {show(value)}")


def check_data_address(value: object) -> str:
    """What engines bind and advertise: an IPv4 address or a host name (`ip:port` texts carry it, which IPv6 breaks)."""
    host = check_host(value)
    if _is_ip(host, 6):
        raise complain(f"must be an IPv4 address or a host name, not {show(host)}")
    return host


def check_version(value: object) -> str:
    """A release such as "0.33" or "0.33.1"."""
    if isinstance(value, str) and _VERSION.fullmatch(value):
        return value
    if isinstance(value, float):
        raise complain("must be text: YAML reads a bare 0.30 as 0.3", "quote it")
    raise complain(f'must be a release such as "0.33", not {show(value)}', "quote it" if value is not None else "")


def check_text(value: object) -> str:
    """One non-empty line."""
    if isinstance(value, str) and value.strip() and value.isprintable():
        return value
    hint = "quote it" if isinstance(value, bool | int | float) else ""
    raise complain(f"must be one line of text, not {show(value)}", hint)


def check_login(value: object) -> str:
    """A user of the node, as useradd(8) allows its name."""
    if isinstance(value, str) and _LOGIN.fullmatch(value):
        return value
    hint = "a user's name, not its number" if isinstance(value, int) or str(value).isdigit() else ""
    raise complain(f"must be a user's name, not {show(value)}", hint)


def check_mount(value: object) -> Mount:
    """A mount as docker's -v has it, but read-only unless it ends in `:rw`."""
    wanted = "write /on/node, or /on/node:/in/container, with :rw to let containers write"
    match = _MOUNT.fullmatch(value) if isinstance(value, str) and value.isprintable() else None
    if match is None:
        raise complain(f"must be absolute paths without commas and quotes, not {show(value)}", wanted)
    source, target, mode = match.groups()
    return Mount(source, target or source, mode == "rw")


def _is_ip(text: str, version: int) -> bool:
    try:
        return ipaddress.ip_address(text).version == version
    except ValueError:
        return False


def _text_schema(pattern: str | None = None) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern} if pattern else {"type": "string", "minLength": 1})


def check_model_path(value: object) -> str:
    """Where nodes read the model. A `~` reaches the engine as it stands: no shell expands it there, and vLLM would
    take it for a hub id."""
    text = check_text(value)
    if text.startswith("~"):
        raise complain(f"{show(text)} begins with ~, which nothing expands on the nodes", "write the absolute path")
    return text


Name = Annotated[str, BeforeValidator(check_name), _text_schema(f"^{NAME.pattern}$")]
Text = Annotated[str, BeforeValidator(check_text), _text_schema()]
ModelPath = Annotated[str, BeforeValidator(check_model_path), _text_schema()]
Host = Annotated[str, BeforeValidator(check_host), _text_schema()]
DataAddress = Annotated[str, BeforeValidator(check_data_address), _text_schema()]
Version = Annotated[str, BeforeValidator(check_version), _text_schema(f"^{_VERSION.pattern}$")]
ArgName = Annotated[str, BeforeValidator(check_arg_name), _text_schema(f"^{_ARG.pattern}$")]
EnvName = Annotated[str, BeforeValidator(check_env_name), _text_schema(f"^{_ENV.pattern}$")]
EnvValue = Annotated[str, BeforeValidator(check_env_value), WithJsonSchema({"type": ["string", "integer"]})]
Duration = Annotated[
    float,
    BeforeValidator(check_duration),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0},
                {"type": "string", "pattern": "^[0-9.]+ *(us|ms|s|m|h|d)?$"},
            ]
        }
    ),
]
Gpus = Annotated[
    tuple[int, ...],
    BeforeValidator(check_gpus),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": "^[0-9]+( *- *[0-9]+)?( *, *[0-9]+( *- *[0-9]+)?)*$"},
                {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1},
            ]
        }
    ),
]
Flag = Annotated[
    Any,
    AfterValidator(check_arg_value),
    WithJsonSchema({"type": ["string", "number", "boolean", "null"]}),
]
Login = Annotated[str, BeforeValidator(check_login), _text_schema(f"^{_LOGIN.pattern}$")]
MountText = Annotated[Mount, BeforeValidator(check_mount), _text_schema(f"^{_MOUNT.pattern}$")]
Port = Annotated[int, Field(ge=1, le=65535)]
