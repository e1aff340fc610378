"""What a record of routing says, in one sentence: the part of `karl.replay.news` that is about routing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from karl.counted import many
from karl.schema.routing import ExemplarBody, RouterBody, RoutingBody, ShadowBody, SkillsBody

#: Digits of an id that are told.
_ID = 12
_PROMPT_MAX = 400

_skills = msgspec.json.Decoder(SkillsBody).decode
_exemplar = msgspec.json.Decoder(ExemplarBody).decode
_router = msgspec.json.Decoder(RouterBody).decode
_routing = msgspec.json.Decoder(RoutingBody).decode
_shadow = msgspec.json.Decoder(ShadowBody).decode


def _of_place(data: msgspec.Raw) -> dict[str, Any]:
    body = _skills(data)
    told = f"{many(len(body.skills), 'skill')} and {many(len(body.rules), 'rule')} of {body.place}"
    return {"node": body.node, "about": body.place, "says": told}


def _of_exemplar(data: msgspec.Raw) -> dict[str, Any]:
    body = _exemplar(data)
    skill = body.skill or "no skill"
    says = f"no exemplar of {skill} any more" if body.removed else f"exemplar of {skill}"
    return {
        "about": body.id, "skill": body.skill, "by": body.person, "prompt": body.text[:_PROMPT_MAX],
        "trajectory": body.of or None, "says": says,
    }  # fmt: skip


def _of_router(data: msgspec.Raw) -> dict[str, Any]:
    body = _router(data)
    exemplars = many(sum(body.counts.values()), "exemplar")
    made = f"{body.why}, {body.head} over {body.encoder}, {many(len(body.skills), 'skill')}, {exemplars}"
    label = f" {body.label}" if body.label else ""
    says = f"router {body.id[:_ID]}{label} ({made})"
    return {"node": body.node, "about": body.id, "by": body.person or None, "says": says}


def _of_decision(data: msgspec.Raw) -> dict[str, Any]:
    body = _routing(data)
    ready = f", {many(len(body.ready), 'skill')} by the vector router" if body.ready else ""
    forced = " although checks said no" if body.forced else ""
    reason = f": {body.reason}" if body.reason else ""
    router = f"router {body.router[:_ID]}" if body.router else "no router"
    says = f"routing {body.action}{forced}, mode {body.mode}, {router}{ready}{reason}"
    return {"node": body.node, "about": body.id, "by": body.person or None, "says": says}


def _of_prediction(data: msgspec.Raw) -> dict[str, Any]:
    body = _shadow(data)
    said = [f"rules say {body.regex}" if body.regex else "rules say nothing"] if body.rules else []
    if body.ranked:
        first = body.ranked[0]
        takes = "" if body.takes else ", not taken"
        said.append(f"the router {first.skill} ({first.chance:.2f}{takes})")
    return {
        "session": body.session, "agent": body.agent, "project": body.project, "node": body.node,
        "trajectory": body.trajectory, "about": body.event, "skill": body.picked,
        "says": f"{body.source} prediction: {', '.join(said) or 'nothing routes'}",
    }  # fmt: skip


#: Gives members of News, by the kind of record.
READERS: dict[str, Callable[[msgspec.Raw], dict[str, Any]]] = {
    "skills": _of_place,
    "exemplar": _of_exemplar,
    "router": _of_router,
    "routing": _of_decision,
    "shadow": _of_prediction,
}
