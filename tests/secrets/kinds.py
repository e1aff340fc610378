"""Secrets made at run time, by kind: nothing in this file is one, and no two runs need plant the same.

A kind gives a Snippet: the text as a person or a program would write it, and the parts of it that are secret.
"""

from __future__ import annotations

import base64
import json
import string
from collections.abc import Callable
from random import Random
from typing import NamedTuple

LOWER, UPPER, DIGITS = string.ascii_lowercase, string.ascii_uppercase, string.digits
ALNUM = string.ascii_letters + DIGITS
HEX = DIGITS + "abcdef"
URLSAFE = ALNUM + "_-"
BASE32 = UPPER + "234567"
WORDS = [
    "correct",
    "horse",
    "battery",
    "staple",
    "river",
    "candle",
    "window",
    "orange",
    "purple",
    "mountain",
    "silver",
    "dragon",
]


class Snippet(NamedTuple):
    """A text and what of it is secret."""

    text: str
    secrets: tuple[str, ...]


Maker = Callable[[Random], str]
Kind = Callable[[Random], Snippet]


def some(random: Random, alphabet: str, length: int) -> str:
    """Give random characters, a digit and a letter among them where the alphabet has both."""
    made = random.choices(alphabet, k=length)
    if length > 8 and not alphabet.isdigit() and not alphabet.isalpha():
        made[-2:] = (
            random.choice([c for c in alphabet if c.isdigit()]),
            random.choice([c for c in alphabet if c.isalpha()]),
        )
    return "".join(made)


def b64(random: Random, length: int) -> str:
    """Give `length` random bytes in base64."""
    return base64.b64encode(random.randbytes(length)).decode()


def b64url(data: bytes) -> str:
    """Give bytes in base64 for URLs, without padding."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def uuid(random: Random) -> str:
    """Give a UUID of random digits."""
    return "-".join(some(random, HEX, n) for n in (8, 4, 4, 4, 12))


def shape(pattern: str) -> Maker:
    """Make tokens of a shape: `{a20}` 20 letters and digits, `{h}` hex, `{u}` URL-safe, `{U}` upper, `{d}` digits, `{b}` base64 of n bytes, `{l}` lower and digits, `{G}` a UUID."""
    alphabets = {"a": ALNUM, "h": HEX, "u": URLSAFE, "U": UPPER + DIGITS, "l": LOWER + DIGITS}

    def make(random: Random) -> str:
        made, rest = "", pattern
        while rest:
            before, brace, rest = rest.partition("{")
            made += before
            if brace:
                spec, _, rest = rest.partition("}")
                if spec == "G":
                    made += uuid(random)
                elif spec[0] == "b":
                    made += b64(random, int(spec[1:]))
                elif spec[0] == "d":
                    made += "".join(random.choices("123456789", k=int(spec[1:])))
                else:
                    made += some(random, alphabets[spec[0]], int(spec[1:]))
        return made

    return make


def jwt(random: Random) -> str:
    """Give a signed token with a header and claims as libraries write them."""
    header = json.dumps({"alg": random.choice(["HS256", "RS256"]), "typ": "JWT"}, separators=(",", ":"))
    claims = json.dumps({"sub": some(random, DIGITS, 10), "iat": 1700000000, "aud": some(random, ALNUM, 9)})
    return f"{b64url(header.encode())}.{b64url(claims.encode())}.{b64url(random.randbytes(32))}"


#: Tokens that say whose they are, wherever they stand.
TOKENS: dict[str, Maker] = {
    "aws-id": shape("AKIA{U16}"),
    "aws-temporary-id": shape("ASIA{U16}"),
    "github": shape("ghp_{a36}"),
    "github-app": shape("ghs_{a36}"),
    "github-pat": shape("github_pat_{a22}_{a59}"),
    "gitlab": shape("glpat-{u20}"),
    "gitlab-runner": shape("glrt-{u20}"),
    "gitlab-deploy": shape("gldt-{u20}"),
    "bitbucket": shape("ATBB{a32}"),
    "npm": shape("npm_{a36}"),
    "pypi": shape("pypi-AgEIcHlwaS5vcmc{u120}"),
    "rubygems": shape("rubygems_{h48}"),
    "crates": shape("cio{a32}"),
    "nuget": shape("oy2{l43}"),
    "docker-hub": shape("dckr_pat_{u27}"),
    "slack-bot": shape("xoxb-{d12}-{d13}-{a24}"),
    "slack-user": shape("xoxp-{d12}-{d12}-{d13}-{h32}"),
    "slack-app": shape("xapp-1-A{U10}-{d13}-{h64}"),
    "slack-webhook": shape("https://hooks.slack.com/services/T{U10}/B{U10}/{a24}"),
    "discord-webhook": shape("https://discord.com/api/webhooks/{d18}/{u68}"),
    "teams-webhook": shape("https://acme.webhook.office.com/webhookb2/{G}@{G}/IncomingWebhook/{h32}/{G}"),
    "telegram": shape("{d10}:AA{u33}"),
    "twilio": shape("SK{h32}"),
    "sendgrid": shape("SG.{u22}.{u43}"),
    "mailgun": shape("key-{h32}"),
    "mailchimp": shape("{h32}-us12"),
    "postmark-like": shape("POSTMARK_SERVER_TOKEN={G}"),
    "stripe": shape("sk_live_{a99}"),
    "stripe-restricted": shape("rk_live_{a24}"),
    "stripe-hook": shape("whsec_{a32}"),
    "square": shape("sq0csp-{u43}"),
    "square-access": shape("EAAA{u60}"),
    "shopify": shape("shpat_{h32}"),
    "openai": shape("sk-proj-{u74}T3BlbkFJ{u74}"),
    "openai-old": shape("sk-{a20}T3BlbkFJ{a20}"),
    "anthropic": shape("sk-ant-api03-{u93}AA"),
    "huggingface": shape("hf_{a34}"),
    "replicate": shape("r8_{a37}"),
    "groq": shape("gsk_{a52}"),
    "perplexity": shape("pplx-{a48}"),
    "xai": shape("xai-{a80}"),
    "langsmith": shape("lsv2_pt_{h32}_{h10}"),
    "pinecone": shape("pcsk_{a6}_{a63}"),
    "tavily": shape("tvly-dev-{a32}"),
    "databricks": shape("dapi{h32}"),
    "new-relic": shape("NRAK-{U27}"),
    "new-relic-license": shape("{h36}FFFFNRAL"),
    "sentry": shape("sntrys_{b120}"),
    "vault": shape("hvs.{u95}"),
    "terraform": shape("{a14}.atlasv1.{u67}"),
    "digitalocean": shape("dop_v1_{h64}"),
    "heroku": shape("HRKU-AA{u58}"),
    "cloudflare-ca": shape("v1.0-{h24}-{h146}"),
    "fly": shape("fo1_{u43}"),
    "fly-macaroon": shape("FlyV1 fm2_{b160}"),
    "netlify": shape("nfp_{a36}"),
    "vercel": shape("vercel_blob_rw_{a16}_{a30}"),
    "supabase": shape("sbp_{h40}"),
    "planetscale": shape("pscale_tkn_{u43}"),
    "planetscale-password": shape("pscale_pw_{u43}"),
    "neon": shape("napi_{l64}"),
    "render": shape("rnd_{a28}"),
    "linear": shape("lin_api_{a40}"),
    "notion": shape("ntn_{d11}{a35}"),
    "airtable": shape("pat{a14}.{h64}"),
    "figma": shape("figd_{u40}"),
    "atlassian": shape("ATATT3xFfGF0{u176}={U8}"),
    "hubspot": shape("pat-na1-{G}"),
    "asana": shape("1/{d16}:{h32}"),
    "clickup": shape("pk_{d8}_{U32}"),
    "grafana": shape("glsa_{a32}_{h8}"),
    "postman": shape("PMAK-{h24}-{h34}"),
    "pulumi": shape("pul-{h40}"),
    "doppler": shape("dp.st.prd.{a43}"),
    "tailscale": shape("tskey-auth-{a12}CNTRL-{a32}"),
    "artifactory": shape("AKCp{a69}"),
    "sonar": shape("sqp_{h40}"),
    "buildkite": shape("bkua_{h40}"),
    "circleci": shape("CCIPAT_{a22}_{h40}"),
    "launchdarkly": shape("sdk-{G}"),
    "mapbox": lambda r: f"sk.{b64url(json.dumps({'u': some(r, LOWER, 8), 'a': some(r, ALNUM, 25)}).encode())}.{some(r, URLSAFE, 22)}",
    "alibaba": shape("LTAI{a20}"),
    "yandex": shape("AQVN{u36}"),
    "easypost": shape("EZAK{a54}"),
    "dropbox": shape("sl.{u136}"),
    "facebook": shape("EAA{a150}"),
    "fcm": shape("AAAA{u7}:APA91b{u134}"),
    "google-api": shape("AIza{u35}"),
    "google-oauth": shape("ya29.{u140}"),
    "google-client": shape("GOCSPX-{u28}"),
    "google-refresh": shape("1//0{u60}"),
    "azure-client": shape("{u3}8Q~{u34}"),
    "jwt": jwt,
    "age": lambda r: "AGE-SECRET-KEY-1" + some(r, "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L", 58),
    "1password": shape("ops_eyJ{a200}"),
    "discord-bot": lambda r: f"{b64url(some(r, DIGITS, 18).encode())}.{some(r, URLSAFE, 6)}.{some(r, URLSAFE, 38)}",
}  # fmt: skip


def password(random: Random) -> str:
    """Give a password as people and generators make them."""
    how = random.randrange(5)
    if how == 0:
        return random.choice(WORDS).capitalize() + some(random, DIGITS, 4) + random.choice("!#*+-_")
    if how == 1:
        return some(random, ALNUM, random.choice([12, 16, 24, 32]))
    if how == 2:
        return some(random, ALNUM, 6) + random.choice("!#%*+-_^~.") + some(random, ALNUM, 9)
    if how == 3:
        return "-".join([*random.sample(WORDS, 3), some(random, DIGITS, 3)])
    return some(random, HEX, 32)


#: Secrets that only their name tells apart from any other text: names, and what their value looks like.
NAMED: dict[str, tuple[tuple[str, ...], Maker]] = {
    "password": (("password", "DB_PASSWORD", "dbPassword", "passwd", "admin_password", "MYSQL_ROOT_PASSWORD", "spring.datasource.password", "PGPASSWORD", "smtp_pass", "passphrase", "userPwd", "KEYSTORE_PASS"), password),
    "secret": (("secret", "client_secret", "SECRET_KEY", "clientSecret", "JWT_SECRET", "webhook_secret", "APP_SECRET", "NEXTAUTH_SECRET", "DJANGO_SECRET_KEY", "session_secret"), shape("{a40}")),
    "token": (("token", "ACCESS_TOKEN", "authToken", "refresh_token", "BOT_TOKEN", "api_token", "NETLIFY_AUTH_TOKEN", "VERCEL_TOKEN", "x-auth-token", "csrfToken"), shape("{u43}")),
    "api-key": (("api_key", "API_KEY", "apiKey", "apikey", "X-API-Key", "COHERE_API_KEY", "MISTRAL_API_KEY", "ELEVENLABS_API_KEY", "x-api-key", "apiSecretKey"), shape("{a40}")),
    "aws-secret": (("aws_secret_access_key", "AWS_SECRET_ACCESS_KEY", "SecretAccessKey", "secretAccessKey"), shape("{b30}")),
    "aws-session": (("aws_session_token", "AWS_SESSION_TOKEN", "SessionToken", "x-amz-security-token"), shape("IQoJb3JpZ2luX2Vj{b240}")),
    "datadog": (("DD_API_KEY", "DATADOG_API_KEY", "DD_APP_KEY", "datadog_app_key"), shape("{h40}")),
    "new-relic": (("NEW_RELIC_LICENSE_KEY", "newrelic_license_key"), shape("{h40}")),
    "fastly": (("FASTLY_API_TOKEN", "Fastly-Key", "FASTLY_API_KEY"), shape("{u32}")),
    "cloudflare": (("CLOUDFLARE_API_TOKEN", "CF_API_TOKEN", "CLOUDFLARE_API_KEY", "X-Auth-Key"), shape("{u40}")),
    "okta": (("OKTA_API_TOKEN", "okta_token", "OKTA_CLIENT_SECRET"), shape("00{u40}")),
    "auth0": (("AUTH0_CLIENT_SECRET", "auth0ClientSecret"), shape("{u64}")),
    "azure": (("AccountKey", "AZURE_STORAGE_KEY", "azure_storage_account_key"), shape("{b64}")),
    "wandb": (("WANDB_API_KEY", "wandb_key"), shape("{h40}")),
    "heroku": (("HEROKU_API_KEY", "heroku_api_token"), uuid),
    "algolia": (("ALGOLIA_ADMIN_KEY", "algoliaAdminApiKey"), shape("{h32}")),
    "twilio": (("TWILIO_AUTH_TOKEN", "twilio_auth_token"), shape("{h32}")),
    "encryption": (("ENCRYPTION_KEY", "encryption_key", "RAILS_MASTER_KEY", "secret_key_base", "APP_KEY", "private_key", "HASURA_ADMIN_KEY", "MEILI_MASTER_KEY", "signing_key"), shape("{h64}")),
    "credential": (("credential", "credentials", "DOCKER_AUTH", "dbCredential"), shape("{a32}")),
    "ethereum": (("PRIVATE_KEY", "DEPLOYER_PRIVATE_KEY", "wallet_private_key"), shape("0x{h64}")),
}  # fmt: skip

#: How a name is given a value; `{n}` and `{v}`. The value holds no quote, no blank and no backslash.
ASSIGNMENTS: tuple[str, ...] = (
    "{n}={v}", "export {n}={v}", 'export {n}="{v}"', "{n}='{v}'", "{n}: {v}\n", '{n}: "{v}"', '"{n}": "{v}"', "'{n}': '{v}'",
    "{n} = {v}\n", '{n} = "{v}"', "const {n} = '{v}';", 'var {n} = "{v}"', '{n} := "{v}"', "let {n}: string = '{v}';", '"{n}" => "{v}"',
    "--{n} {v}", "--{n}={v}", "-D{n}={v}", "docker run -e {n}={v} app", "ENV {n} {v}\n", "ENV {n}={v}\n", "ARG {n}={v}\n", "set {n}={v}\n", '$env:{n} = "{v}"',
    "setx {n} {v}\n", "set -x {n} {v}\n", "setenv {n} {v}\n", 'os.environ["{n}"] = "{v}"', "process.env.{n} = '{v}'", 'os.Setenv("{n}", "{v}")', "define('{n}', '{v}');",
    'ENV["{n}"] = "{v}"', "os.getenv('{n}', '{v}')", "heroku config:set {n}={v} -a shop", "helm upgrade shop . --set {n}={v}", "terraform apply -var '{n}={v}'",
    "kubectl create secret generic db --from-literal={n}={v}", "https://api.shop.test/v1/x?page=2&{n}={v}&sort=up", "curl -d '{n}={v}' https://x.test", "curl -H '{n}: {v}' https://x.test",
    '<input type="hidden" name="{n}" value="{v}">', "<{n}>{v}</{n}>", '<add key="{n}" value="{v}" />', '<property name="{n}">{v}</property>', '<conn {n}="{v}"/>',
    "<key>{n}</key>\n<string>{v}</string>", "- name: {n}\n  value: {v}", '{"name": "{n}", "value": "{v}"}', '{"key":"{n}","value":"{v}"}', '{"Name": "{n}", "Value": "{v}"}', "| {n} | {v} |",
    "{n}\t{v}\n", "[{n}] = {v}\n", "{n}=>{v}\n", "the {n} is {v}\n", "{n} -> {v}\n", "db.{n}={v}\n", '"Env": ["PATH=/bin", "{n}={v}"]', 'declare -x {n}="{v}"', "User(id=7, {n}='{v}')", '{"{n}":"{v}"}',
    "{n}: |\n  {v}\n", "{n}: >-\n    {v}\n", '{n} =\n    "{v}"', "{n} = (\n    '{v}'\n)", 'config.set("{n}", "{v}")', "obj.{n} = '{v}'", "npm config set {n} {v}", "{n} ?= {v}\n", "?{n}={v}", "#{n}={v}&state=1", "{n}%3D{v}%26a%3D1",
    "%22{n}%22%3A%22{v}%22", "&quot;{n}&quot;:&quot;{v}&quot;", "{n}=&#39;{v}&#39;", '\\"{n}\\":\\"{v}\\"', '\\\\\\"{n}\\\\\\": \\\\\\"{v}\\\\\\"', "{n}\\u003d{v}\\u0026a=1", "\x1b[32m{n}\x1b[0m: \x1b[1m{v}\x1b[0m\n", "{n} (string) : {v}\n", "**{n}**: `{v}`", "`{n}` = `{v}`", "{n}=[{v}]", "{n}=<{v}>",
)  # fmt: skip


def named(kind: str, random: Random) -> Snippet:
    """Give a named secret, assigned in one of the ways."""
    names, make = NAMED[kind]
    name, value = random.choice(names), make(random)
    how = random.choice(ASSIGNMENTS)
    return Snippet(how.replace("{n}", name).replace("{v}", value), (value,))
