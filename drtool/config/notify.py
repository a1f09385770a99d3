"""``notify``: whom to tell what is wrong, a model for each kind of target."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, SerializeAsAny, ValidationInfo, WrapValidator, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError, ValidationError

from drtool.config.model import Duration, Model, Name
from drtool.config.paths import ConfigPath
from drtool.config.problems import nearest
from drtool.config.secrets import Secret
from drtool.config.timing import Arguments

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_ADDRESS = re.compile(rf"{_ATOM}(\.{_ATOM})*@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")


def _address(text: str) -> str:
    if not _ADDRESS.fullmatch(text):
        raise ValueError("must be an e-mail address, such as oncall@example.org")
    return text


Address = Annotated[str, AfterValidator(_address)]
"""An e-mail address."""


class TargetSettings(Model):
    """What every target has. Durations are in seconds; ``cooldown`` is None for the severity's own."""

    type: str
    name: Name | None = Field(default=None, description="What it is called; without it, like its type.")
    severity: Literal["info", "warning", "critical"] = Field(
        default="warning", description="It hears of what is at least so bad."
    )
    cooldown: Duration | None = Field(
        default=None,
        description="After so long it is told again of what is still wrong (each time twice as long, up to 4 hours);"
        " without it, 5m for critical, 15m for warning.",
    )
    after: Duration = Field(
        default=0.0,
        description="It hears only of what has been open, and acknowledged by nobody, for so long: whom to turn to when"
        " the others do not act.",
        json_schema_extra={"default": "0s", "examples": ["30m"]},
    )
    jobs: tuple[str, ...] = Field(
        default=(), description="It hears of these jobs, and of what belongs to no job; without it, of all."
    )

    @property
    def label(self) -> str:
        """What it is called."""
        return self.name or self.type


class _Web(TargetSettings):
    """What is reached over HTTP."""

    ca_bundle: ConfigPath | None = Field(
        default=None, description="Certificates to trust beside this host's own (PEM)."
    )


class SlackSettings(_Web):
    """Slack, or what takes the same messages, such as Mattermost: an incoming webhook."""

    type: Literal["slack"]
    url: Secret = Field(description="The incoming webhook's address, which is a secret.")


class DiscordSettings(_Web):
    """Discord: a channel's webhook."""

    type: Literal["discord"]
    url: Secret = Field(description="The webhook's address, which is a secret.")


class TeamsSettings(_Web):
    """Microsoft Teams: the Workflows app's "when a Teams webhook request is received"."""

    type: Literal["teams"]
    url: Secret = Field(description="The workflow's address, which is a secret.")


class PagerDutySettings(_Web):
    """PagerDuty's Events API v2."""

    type: Literal["pagerduty"]
    routing_key: Secret = Field(description="The integration key of a service.")
    url: str = Field(
        default="https://events.pagerduty.com/v2/enqueue",
        description="Where events go; accounts in the EU: https://events.eu.pagerduty.com/v2/enqueue.",
    )


class EmailSettings(TargetSettings):
    """E-mail over SMTP."""

    type: Literal["email"]
    host: str = Field(min_length=1, description="The mail server.")
    port: int | None = Field(default=None, ge=1, le=65535, description="Without it, 587, 465 or 25, as tls says.")
    tls: Literal["starttls", "implicit", "none"] = Field(
        default="starttls", description="How the connection is encrypted; none only on this very host, or without user."
    )
    user: str | None = Field(default=None, description="Whom to log in as.")
    password: Secret | None = Field(default=None, description="The user's password.")
    sender: Address = Field(alias="from", description="The sender's address.")
    to: tuple[Address, ...] = Field(min_length=1, description="The recipients' addresses.")
    ca_bundle: ConfigPath | None = Field(
        default=None, description="Certificates to trust beside this host's own (PEM)."
    )

    @model_validator(mode="after")
    def _logs_in_whole(self) -> Self:
        if (self.user is None) != (self.password is None):
            raise ValueError("user and password go together")
        if self.user is not None and self.tls == "none" and self.host not in ("localhost", "127.0.0.1", "::1"):
            raise ValueError("a password does not go over the network without TLS")
        return self


class WebhookSettings(_Web):
    """Any service that takes what Prometheus' Alertmanager sends (version 4)."""

    type: Literal["webhook"]
    url: Secret = Field(description="The address, which is taken for a secret.")
    headers: dict[str, Secret] = Field(default_factory=dict, description="What else goes with each request.")


class SmsSettings(_Web):
    """A text message to one number, through a gateway's HTTP interface (Twilio's, say)."""

    type: Literal["sms"]
    url: Secret = Field(description="The gateway's address, which is taken for a secret.")
    method: Literal["POST", "PUT", "GET"] = Field(
        default="POST", description="How it is called; with GET the fields are in the address."
    )
    encoding: Literal["form", "json"] = Field(default="form", description="How the fields are sent.")
    fields: dict[str, str] = Field(
        min_length=1,
        description="What the gateway wants to know; {text} in a value is the message.",
        json_schema_extra={"examples": [{"From": "+15550100", "To": "+15550111", "Body": "{text}"}]},
    )
    secrets: dict[str, Secret] = Field(default_factory=dict, description="Fields that are secrets: an API key, say.")
    headers: dict[str, Secret] = Field(default_factory=dict, description="What else goes with each request.")
    user: str | None = Field(default=None, description="For basic authentication: the account.")
    password: Secret | None = Field(default=None, description="For basic authentication: the account's token.")
    length: int = Field(
        default=160,
        ge=70,
        le=480,
        description="How many characters; more than 160 are several messages of a price each.",
    )

    @model_validator(mode="after")
    def _logs_in_whole(self) -> Self:
        if (self.user is None) != (self.password is None):
            raise ValueError("user and password go together")
        return self


class CommandSettings(TargetSettings):
    """A program of the operator's, which gets the alerts as JSON on its standard input."""

    type: Literal["command"]
    command: Arguments = Field(description="The program and its arguments; no shell looks at them.")
    timeout: Duration = Field(default=10.0, description="How long it may take.", json_schema_extra={"default": "10s"})


#: The model of each type.
TARGETS: dict[str, type[TargetSettings]] = {
    "slack": SlackSettings,
    "discord": DiscordSettings,
    "teams": TeamsSettings,
    "pagerduty": PagerDutySettings,
    "email": EmailSettings,
    "webhook": WebhookSettings,
    "sms": SmsSettings,
    "command": CommandSettings,
}


def _by_type(value: Any, handler: Any, info: ValidationInfo) -> Any:
    """Validate a target with the model of its type, so that what is wrong has its place in the file."""
    del handler  # the base class knows only the keys that all types share
    if isinstance(value, TargetSettings):
        return value
    if not isinstance(value, dict):
        raise ValueError("must be a mapping of keys")  # noqa: TRY004 - pydantic reports ValueError only
    type_name = value.get("type")
    if not isinstance(type_name, str):
        raise _at_type(f"is required: one of {', '.join(TARGETS)}")
    if type_name not in TARGETS:
        raise _at_type(f"unknown type of target{nearest(type_name, TARGETS)}")
    return TARGETS[type_name].model_validate(value, context=info.context)


def _at_type(message: str) -> ValidationError:
    problem = PydanticCustomError("target_type", "{message}", {"message": message})
    details = InitErrorDetails(type=problem, loc=("type",), input=None)
    return ValidationError.from_exception_data("target", [details], hide_input=True)


AnyTarget = Annotated[SerializeAsAny[TargetSettings], WrapValidator(_by_type)]
"""A target of whichever type it says."""
