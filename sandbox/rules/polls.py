"""What Discord demands of a poll. Voting is not served: a poll is shown and stays at zero.

Must never store anything.
"""

from sandbox import limits
from sandbox.clock import Clock, iso
from sandbox.errors import Form, Json
from sandbox.rules import shapes


def check(body: Json, form: Form, clock: Clock) -> Json | None:
    """Validates `poll` of a message body and answers the poll object."""
    if body.get("poll") is None:
        return None
    here = form.at("poll")
    poll = shapes.as_dict(body["poll"], here)
    question = shapes.as_dict(poll.get("question") or {}, here.at("question"))
    text = shapes.string(question, "text", here.at("question"), low=1, high=limits.POLL_QUESTION, required=True)
    answers = []
    for index, item in enumerate(shapes.listing(poll, "answers", here, low=1, high=limits.POLL_ANSWERS, required=True)):
        at = here.at("answers", index, "poll_media")
        media = shapes.as_dict(shapes.as_dict(item, here.at("answers", index)).get("poll_media") or {}, at)
        answer = shapes.string(media, "text", at, low=1, high=limits.POLL_ANSWER, required=True)
        answers.append(
            {"answer_id": index + 1, "poll_media": {"text": answer, **({"emoji": media["emoji"]} if media.get("emoji") else {})}}
        )
    hours = shapes.integer(poll, "duration", here, low=1, high=limits.POLL_HOURS) or 24
    return {
        "question": {"text": text}, "answers": answers, "expiry": iso(clock.now() + hours * 3600),
        "allow_multiselect": shapes.boolean(poll, "allow_multiselect", here), "layout_type": 1,
        "results": {"is_finalized": False, "answer_counts": []},
    }  # fmt: skip
