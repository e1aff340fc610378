"""Secrets that come in a form of their own: key blocks, connection strings, files of credentials, command lines."""

from __future__ import annotations

import base64
import json
import textwrap
from collections.abc import Callable
from random import Random
from urllib.parse import quote

from tests.secrets.kinds import (
    ALNUM,
    BASE32,
    HEX,
    TOKENS,
    URLSAFE,
    WORDS,
    Kind,
    Snippet,
    b64,
    jwt,
    password,
    shape,
    some,
)

BEGIN, END = "-" * 5 + "BEGIN ", "-" * 5 + "END "


def key_block(label: str, length: int, *, width: int = 64, head: str = "", tail: str = "") -> Kind:
    """Give a kind of armoured private key; each line of its body is secret."""

    def make(random: Random) -> Snippet:
        body = textwrap.wrap(b64(random, length), width)
        text = "\n".join([f"{BEGIN}{label}-----", *([head, ""] if head else []), *body])
        return Snippet(f"{text}\n{tail}{END}{label}-----\n", tuple(line for line in body if len(line) >= 16))

    return make


def _cut_key(random: Random) -> Snippet:
    """Give a key block of which a tool left out a part, or whose beginning or end was not shown."""
    whole = key_block("RSA PRIVATE KEY", 1190)(random)
    lines = whole.text.splitlines()
    how = random.randrange(3)
    if how == 0:
        kept = [*lines[:6], "... [18 lines truncated] ...", *lines[-6:]]
    elif how == 1:
        kept = lines[:9]
    else:
        kept = lines[-9:]
    return Snippet("\n".join(kept), tuple(line for line in kept if line in whole.secrets))


def _putty(random: Random) -> Snippet:
    lines = textwrap.wrap(b64(random, 300), 64)
    text = "PuTTY-User-Key-File-3: ssh-rsa\nEncryption: none\nPrivate-Lines: {}\n{}\nPrivate-MAC: {}\n"
    return Snippet(text.format(len(lines), "\n".join(lines), some(random, HEX, 64)), tuple(lines[:-1]))


def _wireguard(random: Random) -> Snippet:
    private, shared = b64(random, 32), b64(random, 32)
    text = f"[Interface]\nAddress = 10.0.0.2/32\nPrivateKey = {private}\n\n[Peer]\nPublicKey = {b64(random, 32)}\nPresharedKey = {shared}\n"
    return Snippet(text, (private, shared))


def _service_account(random: Random) -> Snippet:
    block = key_block("PRIVATE KEY", 1200)(random)
    account = {"type": "service_account", "project_id": "shop", "private_key_id": some(random, HEX, 40), "private_key": block.text, "client_email": "x@shop.iam.gserviceaccount.com"}  # fmt: skip
    return Snippet(json.dumps(account, indent=random.choice([None, 2])), block.secrets)


def _kubernetes_secret(random: Random) -> Snippet:
    value, config = password(random), f"[db]\nuser=app\npassword={password(random)}\n"
    coded, file = (base64.b64encode(text.encode()).decode() for text in (value, config))
    if random.random() < 0.5:
        text = f"apiVersion: v1\nkind: Secret\nmetadata:\n  name: db\ntype: Opaque\ndata:\n  username: YXBw\n  db.pw: {coded}\n  app.conf: {file}\n"
    else:
        text = json.dumps(
            {"kind": "Secret", "apiVersion": "v1", "data": {"db.pw": coded, "app.conf": file}}, indent=4
        )
    return Snippet(text, (coded, file))


def _kubeconfig(random: Random) -> Snippet:
    key = base64.b64encode(key_block("RSA PRIVATE KEY", 1190)(random).text.encode()).decode()
    token = jwt(random)
    return Snippet(
        f"users:\n- name: admin\n  user:\n    client-key-data: {key}\n    token: {token}\n",
        (key[40:100], token),
    )


def _compose_inspect(random: Random) -> Snippet:
    first, second = password(random), shape("{a40}")(random)
    env = [f"POSTGRES_PASSWORD={first}", "PATH=/usr/local/bin:/bin", f"STRIPE_KEY={second}", "LANG=C.UTF-8"]
    return Snippet(
        json.dumps([{"Id": some(random, HEX, 64), "Config": {"Hostname": "a1", "Env": env}}], indent=4),
        (first, second),
    )


def _docker_config(random: Random) -> Snippet:
    auth = base64.b64encode(f"bob:{password(random)}".encode()).decode()
    return Snippet(json.dumps({"auths": {"https://index.docker.io/v1/": {"auth": auth}}}, indent=2), (auth,))


def _jwk(random: Random) -> Snippet:
    secret = some(random, URLSAFE, 43)
    if random.random() < 0.5:
        return Snippet(
            json.dumps({"kty": "EC", "crv": "P-256", "x": some(random, URLSAFE, 43), "d": secret}), (secret,)
        )
    return Snippet(json.dumps({"keys": [{"kty": "oct", "alg": "HS256", "k": secret}]}), (secret,))


def _aws_file(random: Random) -> Snippet:
    key, secret, session = shape("AKIA{U16}")(random), b64(random, 30), b64(random, 240)
    text = f"[default]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\naws_session_token = {session}\n"
    return Snippet(text, (key, secret, session))


def _aws_bare(random: Random) -> Snippet:
    key, secret = shape("AKIA{U16}")(random), b64(random, 30)
    how = random.choice(
        [
            "{} {}",
            "{}:{}",
            "{}\n{}\n",
            "{},{}\n",
            "key id {} / {}",
            "Access key ID,Secret access key\n{},{}\n",
        ]
    )
    return Snippet(how.format(key, secret), (key, secret))


def _signed_url(random: Random) -> Snippet:
    token, signature = quote(b64(random, 120), safe=""), some(random, HEX, 64)
    text = f"https://b.s3.amazonaws.com/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Security-Token={token}&X-Amz-Signature={signature}"
    return Snippet(text, (token, signature))


def _sas(random: Random) -> Snippet:
    signature = quote(b64(random, 32), safe="")
    return Snippet(
        f"https://a.blob.core.windows.net/c/f?sv=2022-11-02&se=2030-01-01&sp=r&sig={signature}", (signature,)
    )


def _mnemonic(random: Random) -> Snippet:
    phrase = " ".join(random.choices(WORDS, k=12))
    return Snippet(
        random.choice(['mnemonic: "{}"', "MNEMONIC='{}'", "seed phrase: {}\n", '{{"mnemonic":"{}"}}']).format(
            phrase
        ),
        (phrase,),
    )


def _credentials(random: Random) -> Snippet:
    pair = base64.b64encode(f"bob:{password(random)}".encode()).decode()
    how = random.choice(
        [
            "Authorization: Basic {}",
            "curl -H 'Authorization: Basic {}' https://x.test",
            '{{"Authorization":"Basic {}"}}',
            "proxy-authorization: basic {}\r\n",
        ]
    )
    return Snippet(how.format(pair), (pair,))


def _bearer(random: Random) -> Snippet:
    token = some(random, URLSAFE, 40)
    how = random.choice(["Authorization: Bearer {}", 'curl -sS -H "Authorization: Bearer {}" https://x.test', "headers = {{'Authorization': 'Bearer {}'}}", "> authorization: Bearer {}\r\n",
                         "Authorization: token {}", "-H 'Authorization: {}'", "authorization=Bearer%20{}&x=1", "['Authorization', 'Bearer {}']", "Authorization: ApiKey {}", "curl --oauth2-bearer {} https://x.test"])  # fmt: skip
    return Snippet(how.format(token), (token,))


def _cookie(random: Random) -> Snippet:
    value = some(random, ALNUM, 32)
    how = random.choice(
        [
            "Cookie: theme=dark; sid={}",
            "Set-Cookie: session={}; Path=/; HttpOnly",
            "curl -b 'session={}' https://x.test",
            "document.cookie = 'sid={}'",
            "PHPSESSID={}",
            "connect.sid=s%3A{}",
        ]
    )
    return Snippet(how.format(value), (value,))


def _of_token(*forms: str, maker: Callable[[Random], str] = password) -> Kind:
    def make(random: Random) -> Snippet:
        value = maker(random)
        return Snippet(random.choice(forms).replace("{v}", value), (value,))

    return make


def _url_password(random: Random) -> str:
    return quote(password(random), safe="!*")


CONNECTIONS = _of_token(
    "postgres://app:{v}@db.internal:5432/shop?sslmode=require", "postgresql+psycopg2://app:{v}@db/shop", "mysql://root:{v}@127.0.0.1:3306/shop", "mongodb+srv://app:{v}@c0.ab1cd.mongodb.net/shop?retryWrites=true",
    "mongodb://app:{v}@h1:27017,h2:27017/shop", "redis://:{v}@cache:6379/0", "rediss://default:{v}@x.upstash.io:6379", "amqp://shop:{v}@rabbit:5672/%2f", "amqps://u:{v}@mq/v", "mssql://sa:{v}@db:1433/x", "clickhouse://default:{v}@ch:9000/x",
    "nats://app:{v}@nats:4222", "mqtt://dev:{v}@broker:1883", "smtp://bob%40x.test:{v}@mail.x.test:587", "ftp://bob:{v}@files.x.test/a", "sftp://bob:{v}@h/a", "https://bob:{v}@git.x.test/shop.git", "http://bob:{v}@proxy.x.test:3128", "ldap://cn=admin:{v}@ldap:389", "neo4j+s://neo4j:{v}@g.test", "couchdb://a:{v}@c:5984/x",
    "kafka://app:{v}@k:9092", "snowflake://bob:{v}@acc/db", "cassandra://c:{v}@h:9042/k", "imaps://bob:{v}@mail", "vnc://x:{v}@h", "DATABASE_URL=postgres://app:{v}@db/shop\n", "jdbc:postgresql://db:5432/shop?user=app&password={v}", "jdbc:mysql://app:{v}@db:3306/shop", "jdbc:oracle:thin:shop/{v}@db:1521/orcl", "jdbc:sqlserver://db:1433;databaseName=x;user=sa;password={v};encrypt=true",
    "Server=tcp:db.test,1433;Database=shop;User ID=app;Password={v};Encrypt=True;", "Data Source=db;Initial Catalog=x;uid=sa;pwd={v};", "host=db port=5432 user=app password={v} dbname=shop", "Driver={ODBC};Server=db;UID=a;PWD={v};", "app:{v}@tcp(db:3306)/shop?parseTime=true", "--dsn app/{v}@db:1521/shop",
    maker=_url_password,
)  # fmt: skip

COMMANDS = _of_token(
    "mysql -u root -p{v} shop", "mysqldump -h db -uroot -p'{v}' shop > d.sql", "curl -u bob:{v} https://x.test", "curl --user 'bob:{v}' https://x.test", "curl -x http://p:1 -U bob:{v} https://x.test", "wget --user=bob --password={v} https://x.test", "wget --http-password={v} https://x.test",
    "sshpass -p {v} ssh root@h", "sshpass -p'{v}' scp a h:", "redis-cli -h c -a {v} ping", "redis-cli --pass {v} ping", "docker login -u bob -p {v} registry.test", "docker login --username bob --password {v}", "echo {v} | docker login -u bob --password-stdin", "echo '{v}' | sudo -S apt-get update", "printf '%s' \"{v}\" | docker login -u b --password-stdin",
    "openssl rsa -in k.enc -passin pass:{v}", "openssl enc -aes-256-cbc -k {v} -in a", "zip -P {v} a.zip a", "unzip -P {v} a.zip", "7z x -p{v} a.7z", "gpg --batch --passphrase {v} -d a.gpg", "ldapsearch -D cn=a -w {v} -b dc=x", "smbclient //h/s -U bob%{v}", "net use z: \\\\\\\\h\\\\s /user:bob {v}", "http -a bob:{v} https://x.test", "xh -a bob:{v} x.test",
    "mongosh -u app -p {v} db", "mongo --username app --password {v}", "PGPASSWORD={v} psql -h db -U app", "az login --service-principal -u a -p {v} --tenant t", "twine upload -u bob -p {v} dist/*", "htpasswd -b f bob {v}", "htpasswd -nb bob {v}", "sqlplus shop/{v}@db", "sqlcmd -S db -U sa -P {v}", "bcp x out y -U sa -P '{v}'", "lftp -u bob,{v} h", "rclone config create r sftp pass {v}",
    "vault kv put secret/db password={v}", "vault login {v}", "gh auth login --with-token <<< {v}", "aws configure set aws_secret_access_key {v}", "git clone https://bob:{v}@git.test/x.git", "git -c http.extraheader='AUTHORIZATION: bearer {v}' fetch", "ansible-playbook s.yml -e 'ansible_become_pass={v}'", "nmcli dev wifi connect Home password {v}", "chpasswd <<< 'bob:{v}'", "echo 'root:{v}' | chpasswd",
    "keytool -list -keystore k.jks -storepass {v}", "jarsigner -storepass {v} a.jar k", "snmpwalk -v3 -A {v} h", "ipmitool -H h -U a -P {v} power status", "expect -c 'spawn ssh h; expect \"assword:\"; send \"{v}\\r\"'", "mosquitto_pub -u dev -P {v} -t x", "kinit bob <<< {v}", "influx -username a -password {v}", "rabbitmqctl add_user bob {v}", "mc alias set s3 https://h AKEY {v}",
    "createuser bob; psql -c \"ALTER USER bob PASSWORD '{v}'\"", "docker run -e MYSQL_ROOT_PASSWORD={v} mysql", "docker build --build-arg NPM_TOKEN={v} .", "kubectl create secret docker-registry r --docker-password={v}", "dotnet user-secrets set Db:Password {v}", "npm login --_auth={v}", "cloudflared tunnel run --token {v}", "ngrok config add-authtoken {v}", "flyctl secrets set API_KEY={v}", "sops --hc-vault-token {v}",
    maker=shape("Kx7{a21}"),
)  # fmt: skip

STATEMENTS = _of_token(
    "CREATE USER 'app'@'%' IDENTIFIED BY '{v}';", "ALTER ROLE app WITH LOGIN PASSWORD '{v}';", "CREATE LOGIN app WITH PASSWORD = N'{v}';", "SET PASSWORD FOR 'app'@'%' = PASSWORD('{v}');", "GRANT ALL ON *.* TO app IDENTIFIED BY '{v}'", "requirepass {v}\n", "masterauth {v}\n", "AUTH {v}\r\n", "AUTH default {v}\r\n", "ACL SETUSER app on >{v} ~*", "pragma key='{v}';",
    "INSERT INTO users (email, password) VALUES ('b@x.test', '{v}');", "UPDATE users SET password='{v}' WHERE id=7;", "conn = connect('db', user='app', password='{v}')", 'DriverManager.getConnection(url, "app", "{v}")', "login(username='bob', passwd='{v}')", "client.auth('bob', '{v}')", "requests.get(u, auth=('bob', '{v}'))", "HTTPBasicAuth('bob', '{v}')", "s.login('bob@x.test', '{v}')", 'setPassword("{v}")', 'new NetworkCredential("bob", "{v}")', "user: bob / password: {v}", "login: bob\npw: {v}\n", "Username: bob\nPassword: {v}\n", "bob's password is {v}.", "use the password {v} for staging", "Enter passphrase: {v}\n", "pass: {v}\n", "PIN={v}\n", "wpa_passphrase={v}\n", 'psk="{v}"', "  psk={v}\n", "snmp-server community {v} RO", "enable secret 5 {v}\n", "username admin password 7 {v}\n",
    maker=shape("q9{a20}"),
)  # fmt: skip

FILES: dict[str, Kind] = {
    "netrc": _of_token("machine api.x.test login bob password {v}\n", "machine h\n  login bob\n  password {v}\n", "default login bob password {v}\n"),
    "npmrc": _of_token("//registry.npm.test/:_authToken={v}\n", "//npm.x.test/:_password={v}\nalways-auth=true\n", "_auth={v}\nemail=b@x.test\n", maker=shape("{a40}")),
    "pypirc": _of_token("[pypi]\nusername = bob\npassword = {v}\n", "[testpypi]\nrepository: https://test.pypi.test\nusername: bob\npassword: {v}\n"),
    "git-credentials": _of_token("https://bob:{v}@github.com\n", "https://{v}@github.com/x/y.git\n", "protocol=https\nhost=h\nusername=bob\npassword={v}\n", maker=shape("{a40}")),
    "pgpass": _of_token("db.internal:5432:shop:app:{v}\n", "*:*:*:app:{v}\n", maker=shape("{a20}")),
    "my-cnf": _of_token("[client]\nuser=root\npassword={v}\n", '[client]\npassword="{v}"\n'),
    "htpasswd": _of_token("bob:$apr1$k2jd8d7a${v}\n", "bob:{SHA}{v}=\n", "bob:$2y$10$LxX1{v}\n", maker=shape("{a27}x{a20}")),
    "shadow": _of_token("root:$6$k2jd8d7a${v}:19000:0:99999:7:::\n", "bob:$y$j9T$abcdefgh${v}:19000:0:99999:7:::\n", maker=shape("{a86}")),
    "s3cfg": _of_token("[default]\naccess_key = K\nsecret_key = {v}\n", "secret_key={v}\n", maker=shape("{a40}")),
    "rclone": _of_token("[r]\ntype = sftp\npass = {v}\n", "[s3]\nsecret_access_key = {v}\n", maker=shape("{u40}")),
    "gem": _of_token("---\n:rubygems_api_key: {v}\n", maker=shape("{h48}")),
    "cargo": _of_token('[registry]\ntoken = "{v}"\n', maker=shape("{a35}")),
    "composer": _of_token('{"github-oauth": {"github.com": "{v}"}}', '{"http-basic":{"h":{"username":"b","password":"{v}"}}}', maker=shape("{h40}")),
    "maven": _of_token("<server><id>x</id><username>b</username><password>{v}</password></server>"),
    "gradle": _of_token("signing.password={v}\nossrhPassword=x1\n", "nexusPassword={v}\n"),
    "hosts-yml": _of_token("github.com:\n    user: bob\n    oauth_token: {v}\n", maker=shape("gho_{a36}")),
    "totp": _of_token("otpauth://totp/x:bob?secret={v}&issuer=x", maker=lambda random: some(random, BASE32, 32)),
    "ansible": _of_token("ansible_password: {v}\n", "ansible_ssh_pass={v}\n", "vault_db_password: '{v}'\n"),
    "wp-config": _of_token("define( 'AUTH_KEY', '{v}' );", "define('SECURE_AUTH_SALT', '{v}');", "define('DB_PASSWORD', '{v}');", maker=shape("{a64}")),
    "env-file": _of_token("NODE_ENV=production\nOPENAI_KEY={v}\nPORT=80\n", "STRIPE_KEY={v}\n", "GITHUB_PAT={v}\n", "SENTRY_AUTH={v}\n", "LICENSE_KEY={v}\n", "DB_PW={v}\n", "COOKIE_SALT={v}\n", "SUPABASE_SERVICE_ROLE={v}\n", maker=shape("{a40}")),
}  # fmt: skip

BLOCKS: dict[str, Kind] = {
    "rsa-key": key_block("RSA PRIVATE KEY", 1190),
    "pkcs8-key": key_block("PRIVATE KEY", 1218),
    "encrypted-key": key_block("ENCRYPTED PRIVATE KEY", 1300),
    "ec-key": key_block("EC PRIVATE KEY", 121),
    "dsa-key": key_block("DSA PRIVATE KEY", 400),
    "ed25519-key": key_block("PRIVATE KEY", 48),
    "openssh-key": key_block("OPENSSH PRIVATE KEY", 300, width=70),
    "pgp-key": key_block("PGP PRIVATE KEY BLOCK", 900, head="Version: GnuPG v2\nComment: x", tail="=aB3d\n"),
    "old-encrypted-key": key_block("RSA PRIVATE KEY", 1190, head="Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00FF"),
    "cut-key": _cut_key,
    "putty-key": _putty,
    "wireguard": _wireguard,
    "gcp-service-account": _service_account,
    "kubernetes-secret": _kubernetes_secret,
    "kubeconfig": _kubeconfig,
    "docker-inspect": _compose_inspect,
    "docker-config": _docker_config,
    "jwk": _jwk,
    "aws-file": _aws_file,
    "aws-bare": _aws_bare,
    "aws-signed-url": _signed_url,
    "azure-sas": _sas,
    "azure-connection": _of_token("DefaultEndpointsProtocol=https;AccountName=a;AccountKey={v};EndpointSuffix=core.windows.net", "Endpoint=sb://x.servicebus.windows.net/;SharedAccessKeyName=Root;SharedAccessKey={v}", "HostName=h.azure-devices.net;DeviceId=d;SharedAccessKey={v}", "AccountEndpoint=https://x.documents.azure.com:443/;AccountKey={v};", maker=lambda random: b64(random, 64)),
    "mnemonic": _mnemonic,
    "basic-auth": _credentials,
    "bearer": _bearer,
    "cookie": _cookie,
    "sentry-dsn": _of_token("https://{v}@o4501.ingest.sentry.io/4501", "SENTRY_DSN=https://{v}@sentry.x.test/7", maker=shape("{h32}")),
    "connection": CONNECTIONS,
    "command": COMMANDS,
    "statement": STATEMENTS,
    **FILES,
}  # fmt: skip

#: Of a token alone: the words around it.
AROUND = ("{v}", "use {v} for the deploy", "key: {v}", "`{v}`", "({v})", "x={v}", "https://x.test/a?k={v}&b=1", "export K={v}", "[{v}]", "<{v}>", "a,{v},b", "{v}\n", "'{v}'", "$ echo {v}", "Found: {v}.", "/tmp/{v}/x")  # fmt: skip


def of_token(kind: str, random: Random) -> Snippet:
    """Give a token with words around it."""
    token = TOKENS[kind](random)
    return Snippet(random.choice(AROUND).replace("{v}", token), (token,))
