"""Secrets are taken out of what is handed on; figures and ordinary settings stay."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdctl.control.redact import Redactor


def clean(text: str, **known: str) -> str:
    return Redactor(known).clean(text)


@given(
    st.text(max_size=30),
    st.text("abcdefghijklmnopqrstuvwxyz0123456789+/=", min_size=8, max_size=40),
    st.text(max_size=30),
)
def test_a_known_value_is_nowhere_in_the_result(before: str, secret: str, after: str) -> None:
    assert secret not in clean(f"{before} {secret} {after}", HF_TOKEN=secret).replace("[redacted HF_TOKEN]", "")


@pytest.mark.parametrize(
    "text",
    [
        "HF_TOKEN=hf_abcdefghijklmnopqrstuvwxyz",
        "authorization: Bearer abcdef1234567890abcdef",
        'api_key: "sk-1234567890abcdef"',
        "--api-key sk_live password=hunter22",
        "fetch https://ops:hunter22@registry.example/v2",
        "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk\n-----END OPENSSH PRIVATE KEY-----",
    ],
)
def test_what_looks_like_a_secret_is_taken_out_and_counted(text: str) -> None:
    redactor = Redactor({})
    cleaned = redactor.clean(text)
    for secret in ("hf_abc", "abcdef1234567890", "sk-1234", "hunter22", "b3BlbnNzaC1rZXk"):
        assert secret not in cleaned
    assert sum(redactor.hidden.values()) >= 1


@pytest.mark.parametrize(
    "text",
    [
        "password=12hunter2",
        "password: filehunter2",
        "token: envhunter2",
        "vllm serve --api-key hunter2 --port 8000",
        '["--api-key", "hunter2", "--port", "8000"]',
        "non-default args: {'api_key': ['hunter2'], 'port': 8000}",
    ],
)
def test_a_secret_is_found_however_it_begins_and_wherever_an_engine_prints_it(text: str) -> None:
    assert "hunter2" not in clean(text)
    assert "8000" not in text or "8000" in clean(text)


def test_a_known_value_is_found_in_the_forms_that_documents_give_it() -> None:
    value = 'pass"word\nsecond line/ä'
    for text in (json.dumps({"x": value}), json.dumps([value], ensure_ascii=False), quote(value, safe=""), value):
        cleaned = clean(f"log: {text}", KEY=value)
        assert "word" not in cleaned
        assert "second" not in cleaned


@pytest.mark.parametrize(
    "text",
    [
        "--max-num-batched-tokens 16384 --port 8000",
        "--return-tokens-as-token-ids --tokenizer /models/r1",
        "max_num_batched_tokens=8192",
        "tokens_out: 1234.5",
        "secrets: {HF_TOKEN: {env: HF_TOKEN}}",
        '"generation_tokens_total": 17',
        "add_special_tokens=True, skip_special_tokens=None",
        "Avg generation throughput: 12.5 tokens/s, Running: 3 reqs",
    ],
)
def test_ordinary_lines_stay_as_they_are(text: str) -> None:
    assert clean(text) == text


def test_a_very_short_value_does_not_shred_the_text() -> None:
    assert clean("abc of the matter", X="abc") == "abc of the matter"
