"""A real Bugsink on loopback: SQLite, one gunicorn process with threads, tasks done inside the request.

Standard library only. What is known of Bugsink here was measured on 2.6.1: `bugsink-create-conf`, `bugsink-manage
migrate|create_auth_token|shell`, the API under `/api/canonical/0/`, and the custom alert as a row of
`alerts.models.MessagingServiceConfig`.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo import environments
from demo.processes import CannotStart, Process, Server, accepts, environment, listening_socket, open_url

START_SECONDS = 90.0
REQUEST_SECONDS = 30.0

# Login for the web pages, for a person who wants to look; the server is on loopback and lives as long as the demo.
LOGIN, PASSWORD = "demo@example.org", "demo"

_TEMPLATE_VERSION = "1"  # raise it when what `_fill_template` makes changes
_CONF = """\
from bugsink_generated import *

DATABASES["default"]["NAME"] = {database!r}
DATABASES["snappea"]["NAME"] = {snappea!r}
SNAPPEA["TASK_ALWAYS_EAGER"] = True  # an alert is posted before the event's own request ends
BUGSINK.update({settings!r})
"""
_ADD_ALERT = """\
import json
from alerts.models import MessagingServiceConfig
config = json.dumps({{"webhook_url": {url!r}}})
MessagingServiceConfig.objects.create(project_id={project!r}, display_name={name!r}, kind="custom", config=config)
"""


@dataclass(frozen=True)
class Project:
    """A project on the server; `id` is the number that the API takes, `dsn` is where its events go."""

    id: int
    name: str
    slug: str
    dsn: str


class Refused(Exception):
    """The API answered with an error: `status` and the body's beginning are in the text."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"HTTP {status}: {text[:500]}")
        self.status = status


class Bugsink(Server):
    """A server in a folder of its own. `start` and `stop` may follow each other; the port and the data stay the same.

    `folder` must be empty or absent, or hold an earlier Bugsink of ours, which is then continued. `python` is the
    interpreter of an environment with Bugsink in it. `settings` go over Bugsink's own `BUGSINK` settings. The migrated
    database is made once, which `say` is told of, and kept as a template under the cache folder.
    """

    def __init__(
        self,
        folder: Path,
        python: Path,
        *,
        cache: Path | None = None,
        settings: Mapping[str, Any] | None = None,
        threads: int = 8,
        say: environments.Say = environments.announce,
    ) -> None:
        self.folder = folder.resolve()
        self.token = ""
        self.port = 0
        self._python = python
        self._template = (cache or environments.cache_folder()) / "bugsink-template"
        self._settings = dict(settings or {})
        self._threads = threads
        self._say = say
        self._team: str | None = None

    @property
    def url(self) -> str:
        """The base URL, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.folder / "bugsink.log"

    def start(self) -> Bugsink:
        """Serve, and return once `/health/ready` answers. Raises CannotStart with the end of the log."""
        if not (self.folder / "token").exists():
            self._copy_template()
        self.token = (self.folder / "token").read_text().strip()
        with listening_socket(self.port) as listener:
            self.port = int(listener.getsockname()[1])
            (self.folder / "bugsink_conf.py").write_text(self._conf())
            process = Process(
                [
                    self._python, self._python.parent / "gunicorn", "--bind", f"fd://{listener.fileno()}",
                    "--worker-class", "gthread", "--workers", "1", "--threads", str(self._threads),
                    "--timeout", "120", "--graceful-timeout", "3", "--no-control-socket", "bugsink.wsgi",
                ],
                self.log,
                cwd=self.folder,
                env=self._environment(self.folder),
                pass_fds=[listener.fileno()],
            )  # fmt: skip
        self._serve(process, self._is_ready, START_SECONDS, "Bugsink answers /health/ready")
        return self

    def kill(self) -> None:
        """`kill -9`; returns when nothing takes connections any more (the worker dies a moment after its master)."""
        served = self._process is not None
        super().kill()
        deadline = time.monotonic() + 5
        while served and accepts(self.port) and time.monotonic() < deadline:
            time.sleep(0.01)  # no event tells of a port that closes

    def api(self, method: str, path: str, body: object = None) -> Any:
        """Call the API (`path` is what follows `/api/canonical/0/`) and return the decoded answer. Raises Refused."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"{self.url}/api/canonical/0/{path}", data=data, headers=headers, method=method
        )
        try:
            with open_url(request, timeout=REQUEST_SECONDS) as answer:
                raw = answer.read()
        except urllib.error.HTTPError as error:
            with error:
                raise Refused(error.code, error.read().decode(errors="replace")) from error
        return json.loads(raw) if raw else None

    def make_project(self, name: str) -> Project:
        """Make a project in the one team of this server, which is made on first use."""
        if self._team is None:
            teams = self.api("GET", "teams/")["results"]
            self._team = teams[0]["id"] if teams else self.api("POST", "teams/", {"name": "Demo"})["id"]
        number = int(self.api("POST", "projects/", {"name": name, "team": self._team})["id"])
        made = self.api("GET", f"projects/{number}/")
        return Project(number, name, made["slug"], made["dsn"])

    def add_alert(self, project: Project, url: str, name: str = "chat bot") -> None:
        """Have each new, regressed and unmuted issue of the project posted to `url`.

        A person does this under Alerts in the web pages.
        """
        self.shell(_ADD_ALERT.format(project=project.id, name=name, url=url))

    def shell(self, code: str) -> str:
        """Run Python inside Bugsink (`bugsink-manage shell -c`) and return what it prints. Raises CannotStart."""
        return self._manage(self.folder, "shell", "-v", "0", "-c", code)

    def issue_page(self, issue_id: str) -> str:
        """The web page of an issue, its last event shown."""
        return f"{self.url}/issues/issue/{issue_id}/event/last/"

    def _is_ready(self) -> bool:
        try:
            with open_url(f"{self.url}/health/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def _conf(self) -> str:
        endless = 10**9  # no quota: `None` would break every ingest with a 500
        settings = {
            "BASE_URL": self.url,
            "PHONEHOME": False,
            "ALERTS_WEBHOOK_DENY_NON_GLOBAL": False,  # our bot listens on loopback
            "INGEST_STORE_BASE_DIR": str(self.folder / "ingestion"),
            **{f"MAX_EVENTS_PER_{span}": endless for span in ("5_MINUTES", "HOUR", "MONTH")},
            **{f"MAX_EVENTS_PER_PROJECT_PER_{span}": endless for span in ("5_MINUTES", "HOUR", "MONTH")},
            **self._settings,
        }
        return _CONF.format(
            database=str(self.folder / "db.sqlite3"), snappea=str(self.folder / "snappea.sqlite3"), settings=settings
        )

    def _environment(self, folder: Path) -> dict[str, str]:
        kept = environment("PYTHON", "DJANGO", "SENTRY_")
        return {**kept, "PYTHONPATH": str(folder), "DJANGO_SETTINGS_MODULE": "bugsink_conf", "PYTHONUNBUFFERED": "1"}

    def _manage(self, folder: Path, *words: str, **variables: str) -> str:
        return self._run(folder, ["bugsink-manage", *words], **variables)

    def _run(self, folder: Path, command: list[str], **variables: str) -> str:
        program, *words = command
        done = subprocess.run(
            [str(self._python), str(self._python.parent / program), *words],
            cwd=folder,
            env={**self._environment(folder), **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            raise CannotStart(
                f"`{program} {words[0]}` ended with code {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
            )
        return done.stdout

    def _copy_template(self) -> None:
        """Fill our folder from the template, which is made first where it is absent.

        The token is copied last: it marks a whole copy.
        """
        version = self._run(Path("/"), ["bugsink-show-version"]).strip()
        template = self._template / f"{version}-{_TEMPLATE_VERSION}"
        with environments.locked(template.with_name(f"{template.name}.lock")):
            if not template.exists():
                self._make_template(template)
        self.folder.mkdir(parents=True, exist_ok=True)
        for file in sorted(template.iterdir(), key=lambda file: file.name == "token"):
            shutil.copy2(file, self.folder / file.name)

    def _make_template(self, template: Path) -> None:
        unfinished = Path(tempfile.mkdtemp(prefix="unfinished-", dir=template.parent))
        try:
            self._fill_template(unfinished)
            unfinished.rename(template)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise

    def _fill_template(self, folder: Path) -> None:
        self._say("  making Bugsink's database, once (a quarter of a minute) ...")
        self._run(folder, ["bugsink-create-conf", "--template", "local", "--output-file", "bugsink_generated.py"])
        (folder / "bugsink_conf.py").write_text("from bugsink_generated import *\nBUGSINK['PHONEHOME'] = False\n")
        self._manage(folder, "migrate")
        self._manage(folder, "migrate", "--database=snappea")
        self._say("  making its user and token ...")
        self._manage(folder, "prestart", CREATE_SUPERUSER=f"{LOGIN}:{PASSWORD}")
        token = self._manage(folder, "create_auth_token").split()[-1]
        (folder / "token").write_text(token + "\n")
        shutil.rmtree(folder / "__pycache__", ignore_errors=True)
