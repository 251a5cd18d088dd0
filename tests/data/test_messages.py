"""Conversations as they are read: messages, Alpaca's and ShareGPT's columns; what breaks the order of turns is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import finecomb
from finecomb.core.errors import ConfigError
from finecomb.data.dataset.kinds.messages import problem


def turns(*roles: str) -> list[dict[str, str]]:
    return [{"role": role, "content": f"{role} {number}"} for number, role in enumerate(roles)]


@pytest.mark.parametrize(
    ("roles", "wrong"),
    [
        (("user", "assistant"), None),
        (("system", "user", "assistant", "user", "assistant"), None),
        (("user",), "it ends with the user; there is no answer to learn"),
        (("user", "assistant", "user"), "it ends with the user; there is no answer to learn"),
        (("user", "user", "assistant"), "turn 2 is the user's; user and assistant take turns, and the user begins"),
        (("assistant",), "turn 1 is the assistant's; user and assistant take turns, and the user begins"),
        (("user", "system", "assistant"), "message 2 is a system message; only the first may be one"),
        (("user", "robot"), "message 2 has the role 'robot'; known are system, user, assistant"),
        (("system",), "it has no turn"),
        ((), "it is empty"),
    ],
)
def test_the_order_of_turns_is_checked(roles: tuple[str, ...], wrong: str | None) -> None:
    assert problem(turns(*roles)) == wrong


def test_an_empty_message_is_refused() -> None:
    assert problem([{"role": "user", "content": " "}, {"role": "assistant", "content": "a"}]) == "message 1 (user) is empty"


FORMS = {
    "messages": lambda n: {"messages": [{"role": "user", "content": f"q{n}"}, {"role": "assistant", "content": "a"}]},
    "sharegpt": lambda n: {"conversations": [{"from": "human", "value": f"q{n}"}, {"from": "gpt", "value": "a"}]},
    "alpaca": lambda n: {"instruction": f"q{n}", "output": "a"},
}


def prepared(folder: Path, lines: list[dict[str, object]], monkeypatch: pytest.MonkeyPatch) -> finecomb.Prepared:
    monkeypatch.setenv("FINECOMB_CACHE", str(folder / "cache"))
    path = folder / "chats.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return finecomb.prepare(finecomb.compose("dataset=files", f"dataset.files.train={path}", "task=chat", "model=gpt2", "cleaner=none"))


@pytest.mark.parametrize("form", FORMS)
def test_every_form_becomes_the_same_messages(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = prepared(tmp_path, [FORMS[form](n) for n in range(20)], monkeypatch).to_pandas().set_index("text")
    assert json.loads(table["label"]["q7\na"]) == [{"role": "user", "content": "q7"}, {"role": "assistant", "content": "a"}]


def test_alpaca_has_an_input_and_a_system_message_where_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [{"system": "be brief", "instruction": f"add {n}", "input": "to 1", "output": "x"} for n in range(20)]
    label = json.loads(prepared(tmp_path, lines, monkeypatch).to_pandas()["label"][0])
    assert [message["role"] for message in label] == ["system", "user", "assistant"]
    assert label[1]["content"].endswith("\n\nto 1")


def test_a_conversation_that_ends_with_the_user_is_counted_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = [FORMS["messages"](n) for n in range(20)]
    data = prepared(tmp_path, [*good, {"messages": turns("user")}], monkeypatch)
    assert sum(data.folder.manifest.rows.values()) == 20
    (entry,) = [entry for entry in data.folder.manifest.funnel if entry["step"] == "read"]
    assert sum(entry["reasons"].values()) == 1
    with pytest.raises(ConfigError, match="ends with the user"):
        prepared(tmp_path, [*good[:2], *[{"messages": turns("user")}] * 18], monkeypatch)
