"""Redaction: what must not leave, what must stay readable, and that hostile text is only text."""

from __future__ import annotations

import json
import resource

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.denied_paths import DeniedPaths
from producers.redact import Redactor, load_rules

RULES = load_rules()
REDACTOR = Redactor(RULES)
PATHS = DeniedPaths(RULES)

# None of these is or was a key: they are typed to the shape, in halves so that scanners stay quiet.
HEX = "0123456789abcdef" * 8
ALNUM = "aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zA" * 4
TOKENS = {
    "aws-access-key-id": ["AKIA" + "IOSFODNN7EXAMPLE", "ASIA" + "IOSFODNN7EXAMPLE"],
    "aws-secret-key": ["aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"],
    "github-token": [f"gh{kind}_" + ALNUM[:36] for kind in "pousr"],
    "github-fine-grained-token": ["github_pat_" + ALNUM[:22] + "_" + ALNUM[:59]],
    "gitlab-token": ["glpat-" + ALNUM[:20], "glrt-" + ALNUM[:20]],
    "slack-token": ["xoxb-" + "123456789012-123456789012-" + ALNUM[:24], "xoxp-" + "1234-abcd1234"],
    "slack-webhook": ["https://hooks.slack.com/services/" + "T0000/B0000/" + ALNUM[:24]],
    "stripe-key": ["sk_live_" + ALNUM[:24], "rk_live_" + ALNUM[:24], "sk_test_" + ALNUM[:24]],
    "openai-key": ["sk-" + ALNUM[:48], "sk-proj-" + ALNUM[:60]],
    "anthropic-key": ["sk-ant-api03-" + ALNUM[:90]],
    "google-api-key": ["AIza" + ALNUM[:35]],
    "google-oauth-token": ["ya29." + ALNUM[:60], "GOCSPX-" + ALNUM[:28]],
    "npm-token": ["npm_" + ALNUM[:36]],
    "pypi-token": ["pypi-" + "AgEIcHlwaS5vcmc" + ALNUM[:60]],
    "huggingface-token": ["hf_" + ALNUM[:34]],
    "sendgrid-key": ["SG." + ALNUM[:22] + "." + ALNUM[:43]],
    "twilio-key": ["SK" + HEX[:32], "AC" + "9" * 32 + ":" + HEX[:32]],
    "mailgun-key": ["key-" + HEX[:32]],
    "digitalocean-token": ["dop_v1_" + HEX[:64]],
    "heroku-key": ["HEROKU_KEY is 01234567-89ab-cdef-0123-456789abcdef"],
    "azure-storage-key": ["DefaultEndpointsProtocol=https;AccountKey=" + ALNUM[:86] + "=="],
    "azure-sas": ["https://x.blob.core.windows.net/c?sv=2022&sig=" + ALNUM[:43] + "%3D"],
    "databricks-token": ["dapi" + HEX[:32]],
    "telegram-bot-token": ["123456789:AA" + ALNUM[:33]],
    "discord-bot-token": ["M" + ALNUM[:23] + "." + ALNUM[:6] + "." + ALNUM[:38]],
    "discord-webhook": ["https://discord.com/api/webhooks/1234567890/" + ALNUM[:60]],
    "square-token": ["sq0atp-" + ALNUM[:22]],
    "shopify-token": ["shpat_" + HEX[:32]],
    "linear-key": ["lin_api_" + ALNUM[:40]],
    "notion-token": ["ntn_" + ALNUM[:46], "secret_" + ALNUM[:43]],
    "sentry-token": ["sntrys_" + ALNUM[:60]],
    "vault-token": ["hvs." + ALNUM[:90]],
    "doppler-token": ["dp.pt." + ALNUM[:43]],
    "supabase-key": ["sbp_" + HEX[:40]],
    "cloudflare-key": ["cloudflare: " + ALNUM[:40]],
    "age-key": ["AGE-SECRET-KEY-1" + ALNUM[:58].upper()],
    "jwt": ["eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxIn0." + ALNUM[:43]],
    "vendor-token": ["dckr_pat_" + ALNUM[:27], "glsa_" + ALNUM[:32], "gsk_" + ALNUM[:52]],
    "bearer-token": ["it said: bearer " + ALNUM[:30]],
    "authorization-header": ["Authorization: Basic dXNlcjpwYXNz", "-H 'authorization: Bearer abc123'"],
    "cookie": ["Cookie: theme=dark; sid=31d4d96e407aad42", "Set-Cookie: a=31d4d96e; Path=/"],
    "url-password": ["postgres://bob:pass@db.local:5432/x", "redis://:hunter2@localhost:6379"],
    "command-password": ["curl -u bob:hunter2 https://x", "sshpass -p hunter2 ssh x", "mysql -u root -phunter2 db"],
    "secret-env": ["DB_PASSWORD=hunter2", "export API_TOKEN=hunter2", "SMTP_PASS=hunter2", "SECRET_KEY=x!y(z"],
    "secret-quoted": ['{"password": "hunter2"}', "api_key = 'hunter2'", '{\\"client_secret\\": \\"hunter2\\"}'],
    "secret-assignment": ["user=bob;password=hunter2;x=1", "https://x/?api_key=hunter2&b=1", "password = hunter2"],
    "secret-field": ["password: hunter2", "db:\n  password: swordfish\n  user: bob", "X-Api-Key: hunter2x"],
    "secret-flag": ["deploy --password hunter2 now", "deploy --access-token hunter2"],
    "secret-argument": ["setenv('API_TOKEN', 'hunter2')"],
    "secret-element": ["<password>hunter2</password>"],
    "secret-pair": ["- name: DB_PASSWORD\n  value: hunter2"],
    "npmrc-auth": ["_auth=aHVudGVyMjpodW50ZXIy"],
    "pgpass": ["db.local:5432:app:bob:hunter2"],
    "docker-auth": ['"auth": "aHVudGVyMjpodW50ZXIy"'],
    "private": ["call <private>my own name</private> now"],
}  # fmt: skip
LEAKS = (
    "hunter2",
    "swordfish",
    "my own name",
    "dXNlcjpwYXNz",
    "abc123",
    "x!y(z",
    "31d4d96e",
    ":pass@",
    ALNUM[:16],
    HEX[:32],
)
CASES = [(rule, text) for rule, texts in TOKENS.items() for text in texts]

HARMLESS = [
    "token = get_token()",
    "password: str",
    "password: str = None,",
    "def login(user: str, password: str) -> Token:",
    "connect(password=password, token=self.token)",
    "password = $VAR and token=${TOKEN}",
    "export TOKEN=$(cat file)",
    "API_KEY=<your-key>",
    "api_key: 'YOUR_API_KEY'",
    "PASSWORD=***",
    '{"password": null, "token": true, "secret": ""}',
    "password: None",
    "const token = await fetchToken();",
    "apiKey: process.env.API_KEY,",
    "os.environ['API_KEY']",
    "max_tokens=4096, total_tokens: 123456",
    '"usage": {"input_tokens": 123456, "output_tokens": 7}',
    "PWD=/home/bob/project OLDPWD=/home/bob",
    "the token is read from a file; the password must be long",
    "--token TOKEN    the token to use",
    "--password-stdin registry.example",
    "PASSWORD_FILE=/run/x",
    "tests_passed=12",
    "tokenizer = 'gpt2'",
    "pip install bc-detect-secrets==1.5.43",
    "sk-loading-spinner-container-large",
    "https://example.com:8080/a@b",
    "git@github.com:owner/repo.git",
    "{{ secrets.DEPLOY_TOKEN }}",
    "if token == other_token and password != wanted:",
    "internal/auth/tokenstore.go:120:func flockShared",
    "<usage><total_tokens>27684</total_tokens></usage>",
    '{Pwd: "/home/src/project"}',
    "Authorization: token $(gh auth token)",
    "  - Token: gho_************************************",
    "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkq\n-----END PUBLIC KEY-----",
]  # fmt: skip


@pytest.mark.parametrize(("rule", "text"), CASES)
def test_a_secret_is_replaced_and_its_rule_named(rule: str, text: str) -> None:
    redacted, counts = REDACTOR.text(
        f"before {text} after" if "\n" not in text and rule != "pgpass" else text
    )
    assert f"[REDACTED:{rule}]" in redacted
    assert counts[rule] >= 1
    assert not [leak for leak in LEAKS if leak in redacted]


@pytest.mark.parametrize("text", HARMLESS)
def test_code_and_prose_about_secrets_stay_as_they_are(text: str) -> None:
    assert REDACTOR.text(text) == (text, {})


@pytest.mark.parametrize(("rule", "text"), CASES)
@pytest.mark.parametrize("ascii_only", [True, False])
def test_the_gate_stops_every_payload_that_holds_a_secret(rule: str, text: str, ascii_only: bool) -> None:
    payload = {"tool_input": {"command": f"echo ü {text}\n"}}
    raw = json.dumps(payload, ensure_ascii=ascii_only)
    assert REDACTOR.suspicious(raw.encode())
    assert REDACTOR.suspicious(raw.replace("/", "\\/").encode())


def test_the_gate_lets_a_clean_payload_pass() -> None:
    assert not REDACTOR.suspicious(b'{"hook_event_name":"PreToolUse","tool_input":{"command":"ls -la src"}}')


def test_an_escape_can_not_hide_a_keyword_from_the_gate() -> None:
    raw = b'{"a":"p\\u0061ssword=hunter2"}'
    assert REDACTOR.suspicious(raw)


def test_the_name_of_an_assignment_stays() -> None:
    assert REDACTOR.text("DB_PASSWORD=hunter2")[0] == "DB_PASSWORD=[REDACTED:secret-env]"
    assert REDACTOR.text("postgres://bob:pw@db/x")[0] == "postgres://bob:[REDACTED:url-password]@db/x"


PEM_BODY = "MIIEowIBAAKCAQEA" + ALNUM[:48] + "\n" + ALNUM[:64] + "\n"


@pytest.mark.parametrize(
    "text",
    [
        f"-----BEGIN RSA PRIVATE KEY-----\n{PEM_BODY}-----END RSA PRIVATE KEY-----",
        f"-----BEGIN PRIVATE KEY-----\n{PEM_BODY}-----END PRIVATE KEY-----".replace("\n", "\\n"),
        f"-----BEGIN OPENSSH PRIVATE KEY-----\n{PEM_BODY}",
        f"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00FF\n\n{PEM_BODY}",
        f"-----BEGIN PGP PRIVATE KEY BLOCK-----\nVersion: x\n\n{PEM_BODY}=abcd\n-----END PGP PRIVATE KEY BLOCK-----",
        f"     1→-----BEGIN EC PRIVATE KEY-----\n     2→{PEM_BODY}     3→-----END EC PRIVATE KEY-----",
        f"{PEM_BODY}-----END RSA PRIVATE KEY-----",
    ],
)  # fmt: skip
def test_a_private_key_goes_whole_even_escaped_or_cut(text: str) -> None:
    redacted, counts = REDACTOR.text(f"start {text}\n!stop")
    assert "[REDACTED:private-key]" in redacted
    assert ALNUM[:20] not in redacted
    assert "AKCAQEA" not in redacted
    assert redacted.startswith("start ")
    assert redacted.endswith("!stop")
    assert counts == {"private-key": 1}


def test_a_key_in_the_lines_of_a_patch_goes_whole() -> None:
    lines = [
        "+-----BEGIN PRIVATE KEY-----",
        f"+{ALNUM[:64]}",
        f"+{ALNUM[:64]}",
        "+-----END PRIVATE KEY-----",
        "+ok",
    ]
    made, _ = REDACTOR.payload({"structuredPatch": [{"lines": lines}]})
    assert ALNUM[:20] not in json.dumps(made)
    assert made["structuredPatch"][0]["lines"][-1] == "+ok"


def test_fields_with_telling_names_are_hidden_whatever_they_hold() -> None:
    made, counts = REDACTOR.payload(
        {
            "tool_input": {
                "password": "correct horse",
                "headers": {"Authorization": "xyz12", "Cookie": "a"},
                "env": [{"name": "API_TOKEN", "value": "hunter2"}],
                "args": ["login", "--password", "hunter2"],
                "max_tokens": 4096,
                "token_type": "bearer",
                "passcode": 123456,
            }
        }
    )
    given = made["tool_input"]
    assert "correct horse" not in json.dumps(made)
    assert "hunter2" not in json.dumps(made)
    assert given["headers"]["Authorization"] == "[REDACTED:secret-field]"
    assert given["passcode"] == "[REDACTED:secret-field]"
    assert (given["max_tokens"], given["token_type"]) == (4096, "bearer")
    assert sum(counts.values()) == 5


@pytest.mark.parametrize(
    "given",
    [
        {"kind": "Secret", "data": {"user": "YXBw", "pw": "aHVudGVyMg=="}},
        {"kty": "EC", "crv": "P-256", "d": "aHVudGVyMg"},
        {"passwords": ["Xq7aB3dE5gH7jK9m", "plain"]},
        {"token": {"value": "Xq7aB3dE5gH7jK9m"}},
        {"args": ["-u", "bob:Xq7aB3dE5g", "https://x.test"]},
        {"Name": "DB_PASSWORD", "Value": "Xq7aB3dE5gH7jK9m"},
        {"STRIPE_KEY": "Xq7aB3dE5gH7jK9mN1p"},
    ],
)
def test_members_that_are_secret_by_what_they_belong_to_are_hidden(given: dict[str, object]) -> None:
    made, counts = REDACTOR.payload({"tool_input": given})
    assert "aHVudGVyMg" not in json.dumps(made)
    assert "Xq7aB3dE5g" not in json.dumps(made)
    assert sum(counts.values()) >= 1


def test_a_weak_name_is_believed_only_of_a_value_that_looks_random() -> None:
    given = {
        "sort_key": "created_at",
        "public_key": "id_rsa",
        "cache_key": "user:7:cart",
        "key": "Enter",
        "auth": "none",
    }
    assert REDACTOR.payload(given) == (given, {})


def test_secrets_in_keys_are_hidden_and_no_member_is_lost() -> None:
    first, second = "ghp_" + ALNUM[:36], "ghp_" + ALNUM[4:40]
    made, counts = REDACTOR.payload({"tool_response": {first: 1, second: 2}})
    assert sorted(made["tool_response"].values()) == [1, 2]
    assert ALNUM[4:20] not in json.dumps(made)
    assert counts == {"github-token": 2}


def test_what_a_person_marked_private_is_dropped_to_the_end_when_not_closed() -> None:
    made, counts = REDACTOR.payload({"prompt": "fix <private>Bob</private> and <private>Alice and more"})
    assert made["prompt"] == "fix [REDACTED:private] and [REDACTED:private]"
    assert counts == {"private": 2}


def test_personal_fields_and_answers_to_forms_are_never_recorded() -> None:
    made, counts = REDACTOR.payload(
        {"hook_event_name": "ElicitationResult", "content": {"pin": "1234"}, "user_email": "bob@example.com"}
    )
    assert made == {"hook_event_name": "ElicitationResult", "content": "[REDACTED:elicitation]"}
    assert counts == {"elicitation": 1, "personal": 1}
    assert REDACTOR.suspicious(b'{"user_email": "x"}')


DENIED = [
    ".env", "/app/.env.local", ".envrc", "prod.env", "C:\\Users\\bob\\.env", "server.pem", "tls.key", "a.p12", "a.pfx",
    "~/.ssh/id_rsa", "id_ed25519", "/home/bob/.ssh/config", "~/.aws/credentials", "~/.gnupg/x", ".netrc", ".pgpass",
    ".npmrc", ".pypirc", "~/.kube/config", "~/.docker/config.json", "credentials.json", "config/secrets.yml",
    "secrets.json", "terraform.tfstate", "login.keychain-db", "file:///app/.env",
]  # fmt: skip
OPEN = [
    ".env.example", ".env.sample", ".env.template", "id_rsa.pub", "environment.py", "key.py", "src/keys.ts", "Makefile",
    "process.env", "secrets.token_hex", "docs/credentials.md", "monkey.keyboard", "secrets.DEPLOY_TOKEN", "event.key",
]  # fmt: skip


@pytest.mark.parametrize("path", DENIED)
def test_files_of_secrets_are_denied(path: str) -> None:
    assert PATHS.is_denied(path)
    assert PATHS.suspicious(json.dumps({"file_path": path}).encode())


@pytest.mark.parametrize("path", OPEN)
def test_their_likes_are_not(path: str) -> None:
    assert not PATHS.is_denied(path)


def test_what_a_tool_read_from_a_denied_file_is_hidden_and_what_it_did_is_not() -> None:
    made, counts = PATHS.payload(
        {
            "tool_name": "Read",
            "tool_use_id": "t1",
            "tool_input": {"file_path": "/app/.env", "limit": 5},
            "tool_response": {"type": "text", "file": {"filePath": "/app/.env", "content": "X=plain"}},
        }
    )
    assert made["tool_input"] == {"file_path": "/app/.env", "limit": 5}
    assert made["tool_response"] == {"type": "text", "file": "[REDACTED:path]"}
    assert (made["tool_name"], made["tool_use_id"], counts) == ("Read", "t1", {"path": 1})


@pytest.mark.parametrize(
    "command",
    ["cat a .env", "cat<.env", "source ./.env", "docker run --env-file=.env x", "type C:\\x\\.env", "cat ~/.ssh/id_rsa",
     "curl -d @.env x", 'cat "/app/".env', "scp host:~/.ssh/id_rsa .", "cat *.pem", "head -1 .env 2>/dev/null"],
)  # fmt: skip
def test_a_command_that_names_a_denied_file_keeps_its_words_and_loses_its_output(command: str) -> None:
    made, counts = PATHS.payload(
        {
            "tool_name": "Bash",
            "tool_input": {"command": command, "description": "look"},
            "tool_response": {"stdout": "A=plain", "stderr": "", "interrupted": False},
        }
    )
    assert made["tool_input"]["command"] == command
    assert made["tool_response"] == {
        "stdout": "[REDACTED:path]",
        "stderr": "[REDACTED:path]",
        "interrupted": False,
    }
    assert counts == {"path": 1}


@pytest.mark.parametrize(
    "command",
    ["echo plain > .env", "cat <<E >> .env\nA=plain\nE", "echo plain | tee .env", "sed -i s/a/plain/ .env"],
)
def test_a_command_that_writes_a_denied_file_is_hidden_but_for_the_path(command: str) -> None:
    made, _ = PATHS.payload({"tool_name": "Bash", "tool_input": {"command": command}})
    assert made["tool_input"]["command"] == "[REDACTED:path] .env"


@pytest.mark.parametrize(
    ("tool", "given"),
    [
        ("Write", {"file_path": ".env", "content": "plain"}),
        ("Edit", {"file_path": ".env", "old_string": "plain", "new_string": "plain"}),
        ("MultiEdit", {"file_path": ".env", "edits": [{"old_string": "plain"}]}),
        ("NotebookEdit", {"notebook_path": "secrets.yml", "new_source": "plain"}),
        ("apply_patch", {"input": "*** Begin Patch\n*** Update File: .env\n+plain\n*** End Patch"}),
        ("shell", {"command": ["bash", "-lc", "echo plain >> .env"]}),
    ],
)
def test_what_a_tool_wrote_into_a_denied_file_is_hidden(tool: str, given: dict[str, object]) -> None:
    made, _ = PATHS.payload({"tool_name": tool, "tool_input": given, "tool_response": "plain"})
    assert "plain" not in json.dumps(made)


def test_the_exit_code_of_a_failed_command_on_a_denied_file_stays() -> None:
    made, _ = PATHS.payload(
        {"tool_name": "Bash", "tool_input": {"command": "cat .env"}, "error": "Exit code 1\nA=plain"}
    )
    assert made["error"] == "Exit code 1\n[REDACTED:path]"


def test_each_call_of_a_batch_is_judged_by_its_own_path() -> None:
    calls = [{"tool_input": {"file_path": name}, "tool_response": "plain"} for name in (".env", "a.py")]
    made, counts = PATHS.payload({"tool_calls": calls})
    assert [call["tool_response"] for call in made["tool_calls"]] == ["[REDACTED:path]", "plain"]
    assert counts == {"path": 1}


PIECES = st.sampled_from(
    [text for texts in TOKENS.values() for text in texts]
    + ["password", "token", "secret", "=", ": ", ' "', "'", "\\", "\n", " ", "[", "]", "a1b2c3d4", "<private>", "ü", "\ud800",
       "[REDACTED:jwt]", "https://", ":", "@", "-----BEGIN PRIVATE KEY-----", "--", "Bearer ", "$", "{", "}", ",", "("]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=12).map("".join))
def test_redacting_twice_is_redacting_once(text: str) -> None:
    once, _ = REDACTOR.text(text)
    assert REDACTOR.text(once) == (once, {})


@settings(max_examples=100, deadline=None)
@given(
    st.recursive(
        st.lists(PIECES, max_size=5).map("".join),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["a", "password", "name", "value", "prompt"]), inner, max_size=3
            )
        ),
        max_leaves=6,
    )
)
def test_redacting_a_payload_twice_is_redacting_it_once(value: object) -> None:
    once, _ = REDACTOR.payload({"x": value})
    assert REDACTOR.payload(once) == (once, {})


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=8).map("".join))
def test_what_the_gate_lets_pass_has_nothing_to_redact(text: str) -> None:
    text = text.encode("utf-8", "replace").decode()
    raw = json.dumps({"x": text}).encode()
    if not REDACTOR.suspicious(raw):
        assert REDACTOR.payload({"x": text}) == ({"x": text}, {})


@pytest.mark.parametrize(
    "unit",
    ["password=password:", "-----BEGIN PRIVATE KEY-----", "https://a:b", "eyJhbGciOiJI.", "sk-a1", "curl -u a:", "<private>",
     "--token ", "A1b2C3d4/", "heroku cloudflare ", 'token="'],
)  # fmt: skip
def test_megabytes_of_near_matches_end_in_bounded_memory(unit: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    text, _ = REDACTOR.text(unit * (1_000_000 // len(unit)))
    assert text
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300 * 1024


@pytest.mark.parametrize("before", ["", "x = ", "MY_", "first line\\n", "\\t", '\\"', "=", "'"])
@pytest.mark.parametrize(
    "token",
    [
        "AKIA" + "Q3" * 8,
        "hf_" + "aB" * 17,
        "npm_" + "aB3" * 12,
        "sk-proj-" + "aB3_" * 12,
        "sk_live_" + "aB3" * 8,
    ],
)
def test_a_token_is_found_after_an_underscore_and_after_an_escape_that_was_kept_as_text(
    before: str, token: str
) -> None:
    found, counts = Redactor().text(f"{before}{token} rest")
    assert token not in found
    assert sum(counts.values()) == 1
