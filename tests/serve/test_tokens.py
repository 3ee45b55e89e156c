"""Tokens of another issuer: taken as it signed them, for us, in time; forged in none of the known ways."""

from __future__ import annotations

import base64
import json
import time

import pytest

from tunewright.core.errors import UsageError
from tunewright.serve.tokens import Tokens

jwt = pytest.importorskip("jwt")
SECRET = "a secret of at least thirty-two bytes"
ISSUER = {"algorithm": "HS256", "key": "secret", "issuer": "https://login.example", "audience": "tunewright"}


def claims(**changes):
    now = int(time.time())
    found = {
        "sub": "ann",
        "iss": ISSUER["issuer"],
        "aud": "tunewright",
        "exp": now + 60,
        "roles": ["predict"],
        **changes,
    }
    return {name: value for name, value in found.items() if value is not None}


def signed(key=SECRET, algorithm="HS256", headers=None, **changes):
    return jwt.encode(claims(**changes), key, algorithm=algorithm, headers=headers)


@pytest.fixture
def file(tmp_path):
    (tmp_path / "secret").write_text(SECRET + "\n")
    (tmp_path / "jwt.json").write_text(json.dumps(ISSUER))
    return tmp_path / "jwt.json"


@pytest.fixture(scope="module")
def pair():
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric import rsa

    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = private.public_key().public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo)
    secret = private.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
    return secret, public


@pytest.fixture
def rsa_file(tmp_path, pair):
    (tmp_path / "public.pem").write_bytes(pair[1])
    (tmp_path / "rs.json").write_text(json.dumps({**ISSUER, "algorithm": "RS256", "key": "public.pem"}))
    return tmp_path / "rs.json"


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def status(server, token, path="/v1/predict", **body):
    return server.post(path, json=body or {"inputs": ["a"]}, headers=bearer(token)).status_code


def test_a_token_lets_in_with_the_widest_of_its_roles(client, file):
    server = client(jwt=file)
    assert status(server, signed()) == 200
    assert status(server, signed(), "/v1/admin/rollback", name="intents") == 403
    assert status(server, signed(roles="predict admin other"), "/v1/admin/rollback", name="intents") == 409
    for roles in (None, [], "", ["root"], 7, {"admin": True}, [["admin"]]):
        assert status(server, signed(roles=roles)) == 403
    assert server.post("/v1/predict", json={"inputs": ["a"]}).status_code == 401


@pytest.mark.parametrize("changes", [{"exp": int(time.time()) - 3600}, {"exp": None}, {"iss": "https://evil.example"}, {"iss": None}, {"aud": "another"}, {"aud": None}, {"aud": ["another"]}, {"sub": None}, {"nbf": int(time.time()) + 3600}])  # fmt: skip
def test_a_token_out_of_time_or_for_another_is_none(client, file, changes):
    assert status(client(jwt=file), signed(**changes)) == 401


def _raw(header, payload, signature=b""):
    parts = [json.dumps(part).encode() for part in (header, payload)] + [signature]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


@pytest.mark.filterwarnings("ignore:The HMAC key is")
def test_no_forged_token_lets_in(client, file, rsa_file, pair):
    server, rsa_server = client(jwt=file), client(jwt=rsa_file)
    good = signed()
    forged = [
        _raw({"alg": "none", "typ": "JWT"}, claims(roles="admin")),
        _raw({"alg": "None"}, claims(roles="admin")),
        _raw({"alg": "HS256"}, claims()),
        signed("another secret of thirty-two bytes!!"),
        signed(SECRET, "HS512"),
        good.rpartition(".")[0] + ".",
        _raw({"alg": "HS256"}, claims(roles="admin")).rpartition(".")[0] + "." + good.rpartition(".")[2],
        "..", "a.b.c", "." * 9000, good * 100, "\xff.\xff.\xff",
    ]  # fmt: skip
    for token in forged:
        headers = {b"Authorization": b"Bearer " + token.encode("latin-1")}
        for one in (server, rsa_server):
            assert one.post("/v1/predict", json={"inputs": ["a"]}, headers=headers).status_code == 401
    assert status(server, good) == 200
    assert status(server, signed(pair[0], "RS256")) == status(rsa_server, good) == 401
    assert status(rsa_server, signed(pair[0], "RS256")) == 200
    import hashlib
    import hmac

    whole = _raw({"alg": "HS256", "typ": "JWT"}, claims()).rpartition(".")[0]  # the public key as a secret
    mark = base64.urlsafe_b64encode(hmac.new(pair[1].strip(), whole.encode(), hashlib.sha256).digest()).rstrip(b"=")
    assert status(rsa_server, f"{whole}.{mark.decode()}") == 401


def test_keys_and_tokens_count_side_by_side_and_a_subject_has_its_quota(client, file, tmp_path):
    from tunewright.serve.keys import new_key

    key = new_key(tmp_path / "keys.json", "predict")[0]
    file.write_text(json.dumps({**ISSUER, "quotas": {"requests/day": 2}}))
    server = client(jwt=file, keys=tmp_path / "keys.json")
    assert [status(server, signed()) for _ in range(3)] == [200, 200, 429]
    assert status(server, signed(sub="ben")) == 200 and status(server, key) == 200


def test_an_admins_subject_stands_in_the_audit_log(client, file, tmp_path):
    server = client(jwt=file, audit=tmp_path / "audit.jsonl")
    status(server, signed(roles="admin", sub="ann\n<b>"), "/v1/admin/rollback", name="intents")
    found = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    assert {one["who"] for one in found} == {"jwt:ann\n<b>"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"algorithm": "none"}, "algorithm must be HS256 or RS256; it is 'none'"),
        ({"algorithm": ["HS256"]}, "algorithm must be a text"),
        ({"issuer": ""}, "issuer must be a text"),
        ({"audience": None}, "audience must be a text"),
        ({"key": "nothing"}, "cannot be read"),
        ({"key": "short"}, "needs 32 bytes at least; this one has 5"),
        ({"algorithm": "RS256"}, "needs the issuer's public key in PEM form"),
        ({"leeway": -1}, "leeway must be seconds"),
        ({"quotas": {"rows/year": 1}}, "quotas must be whole numbers"),
        ({"isuer": "x"}, "unknown key 'isuer'. Did you mean 'issuer'?"),
    ],
)
def test_a_file_that_would_let_the_wrong_ones_in_is_refused(file, changes, said):
    (file.parent / "short").write_text("short")
    file.write_text(json.dumps({**ISSUER, **changes}))
    with pytest.raises(UsageError, match=said.replace("?", r"\?")):
        Tokens(file)


def test_a_file_that_is_none_is_said(tmp_path):
    for text in ("", "[]", "{}", "{"):
        (tmp_path / "jwt.json").write_text(text)
        with pytest.raises(UsageError, match="--jwt"):
            Tokens(tmp_path / "jwt.json")
    with pytest.raises(UsageError, match="cannot be read"):
        Tokens(tmp_path / "none.json")
