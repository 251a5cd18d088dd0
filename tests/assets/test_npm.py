"""npm: sources: the registry that npm itself would use, a pinned hash, and one member of the tarball."""

import http.server
import threading

import pytest

from finecomb.assets import fetch, hash_file, npm
from finecomb.core.errors import ConfigError


@pytest.fixture(autouse=True)
def no_settings(cache, monkeypatch, tmp_path):
    """A machine without settings of npm."""
    monkeypatch.setattr(npm, "_GLOBAL_FILES", ())
    for name in ("npm_config_registry", "NPM_CONFIG_REGISTRY", "npm_config_userconfig"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NPM_CONFIG_USERCONFIG", str(tmp_path / "npmrc"))


@pytest.fixture
def server(tmp_path, tarred):
    """A registry with one tarball; yields its address, the hash of the tarball and the paths that were requested."""
    content = tarred({"package/a01": "The/at jury/nn", "package/README": "words"})
    (tmp_path / "served.tgz").write_bytes(content)
    paths = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            paths.append(self.path)
            known = self.path == "/npm/words/-/words-1.0.0.tgz"
            self.send_response(200 if known else 404)
            self.send_header("Content-Length", str(len(content) if known else 0))
            self.end_headers()
            self.wfile.write(content if known else b"")

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}/npm/", hash_file(tmp_path / "served.tgz"), paths
        running.shutdown()


def test_a_member_of_a_tarball_comes_from_the_configured_registry_once(server, monkeypatch):
    address, sha256, paths = server
    monkeypatch.setenv("npm_config_registry", address)
    local = fetch(["npm:words@1.0.0!package"], sha256=sha256)
    assert sorted(file.name for file in local.path.iterdir()) == ["README", "a01"]
    monkeypatch.setenv("FINECOMB_OFFLINE", "1")
    assert fetch(["npm:words@1.0.0!package"], sha256=sha256) == local
    assert paths == ["/npm/words/-/words-1.0.0.tgz"]


def test_another_file_than_the_pinned_one_and_an_unknown_package_are_the_users_errors(server, monkeypatch):
    address, sha256, _ = server
    monkeypatch.setenv("npm_config_registry", address)
    with pytest.raises(ConfigError, match="is not the file that was pinned"):
        fetch(["npm:words@1.0.0!package"], sha256="0" * 64)
    with pytest.raises(ConfigError, match=r"word@1\.0\.0 of the npm registry: cannot fetch: the server answered 404"):
        fetch(["npm:word@1.0.0!package"], sha256=sha256)
    monkeypatch.setenv("FINECOMB_OFFLINE", "1")
    with pytest.raises(ConfigError, match="the network is switched off"):
        fetch(["npm:words@2.0.0!package"], sha256="1" * 64)


def test_the_registry_is_named_by_the_environment_then_by_the_users_file_then_by_the_global_one(tmp_path, monkeypatch):
    assert npm.registry() == "https://registry.npmjs.org"
    (tmp_path / "global").write_text("registry=https://global.example/npm/\n")
    monkeypatch.setattr(npm, "_GLOBAL_FILES", (str(tmp_path / "global"),))
    assert npm.registry() == "https://global.example/npm"
    (tmp_path / "npmrc").write_text(
        "; registry=https://comment.example\n@a:registry=https://scope.example\nregistry = https://user.example/\n"
    )
    assert npm.registry() == "https://user.example"
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", "https://environment.example/")
    assert npm.registry() == "https://environment.example"


@pytest.mark.parametrize("rest", ["words!package", "words@1.0.0", "words@latest!package", "../words@1.0.0!package", "Words@1.0.0!a"])
def test_an_address_without_version_or_member_is_refused(rest):
    with pytest.raises(ConfigError, match="cannot read the source npm:"):
        fetch([f"npm:{rest}"], sha256="0" * 64)


def test_a_name_may_have_a_scope():
    assert npm.parse("@group/words@1.0.0!package/a!b") == ("@group/words", "1.0.0", ["package/a", "b"])
