"""The canary finds its own mail in each kind of inbox, and no other."""

import json
from pathlib import Path

import boto3
import pytest
from aiohttp import web

from deloton.canary.inboxes import open_inbox
from demo.ports import LOCALHOST, free_port
from tests.moto_server import running_moto

OURS, OTHERS = "c+canary-2@deloton.example", "c+canary-1@deloton.example"


async def test_a_folder_holds_the_mail_once_it_is_written(tmp_path: Path) -> None:
    folder = tmp_path / "mails"
    async with open_inbox(f"file://{folder}") as inbox:
        assert not await inbox.holds(OURS)
        folder.mkdir()
        (folder / "1.eml").write_text(f"To: {OTHERS}\n\nAda")
        assert not await inbox.holds(OURS)
        (folder / "2.eml").write_text(f"To: {OURS}\n\nAda")
        assert await inbox.holds(OURS)


async def test_mailpits_list_holds_the_mail() -> None:
    listed = [{"To": [{"Address": OTHERS}]}]

    async def messages(_: web.Request) -> web.Response:
        return web.json_response({"messages": listed})

    pages = web.Application()
    pages.add_routes([web.get("/api/v1/messages", messages)])
    runner, port = web.AppRunner(pages), free_port()
    await runner.setup()
    await web.TCPSite(runner, LOCALHOST, port).start()
    async with open_inbox(f"http://{LOCALHOST}:{port}") as inbox:
        assert not await inbox.holds(OURS)
        listed.append({"To": [{"Address": "ada@deloton.example"}, {"Address": OURS}]})
        assert await inbox.holds(OURS)
    await runner.cleanup()


async def test_a_queue_holds_the_event_of_the_mail_and_is_emptied(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with running_moto() as aws:
        sqs = boto3.session.Session().client("sqs", region_name="eu-west-2", endpoint_url=aws)
        made = sqs.create_queue(QueueName="canary")
        assert "QueueUrl" in made, made
        url = made["QueueUrl"]
        for body in ("no event", json.dumps({"detail": {"mail": {"destination": [OTHERS]}}})):
            sqs.send_message(QueueUrl=url, MessageBody=body)
        async with open_inbox("sqs://eu-west-2/123456789012/canary", aws) as inbox:
            assert not await inbox.holds(OURS)
            event = {"detail": {"eventType": "Delivery", "mail": {"destination": [OURS]}}}
            sqs.send_message(QueueUrl=url, MessageBody=json.dumps(event))
            assert await inbox.holds(OURS)
            assert "Messages" not in sqs.receive_message(QueueUrl=url)
