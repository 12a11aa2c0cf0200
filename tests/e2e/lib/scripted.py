"""A monitor that answers as it was told to."""

import json
import socket
import threading


class Scripted:
    """Each command has a list of answers; the last one repeats. A text is a refusal; an unknown
    command is refused, too. A function makes the answer from the command's arguments."""

    COMMON = {"qmp_capabilities": [{}], "query-version": [{"qemu": {"major": 10}, "package": ""}],
              "query-migrate-capabilities": [[]], "query-migrate-parameters": [{}]}

    def __init__(self, scene, name, **script):
        self.script = {**self.COMMON, **{k.replace("_", "-"): v for k, v in script.items()}}
        self.heard = []
        self.address = f"unix:{scene.folder / name}"
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(scene.folder / name))
        self._server.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with self._server.accept()[0] as peer, peer.makefile("rw") as lines:
            print('{"QMP": {}}', file=lines, flush=True)
            for line in lines:
                command = json.loads(line)
                print(json.dumps(self._answer(command)), file=lines, flush=True)

    def _answer(self, command):
        name = command["execute"]
        answers = self.script.get(name, ["there is no such command"])
        text = answers[min(self.heard.count(name), len(answers) - 1)]
        self.heard.append(name)
        if callable(text):
            kind = {"return": text(command.get("arguments", {}))}
        elif isinstance(text, str):
            kind = {"error": {"class": "GenericError", "desc": text}}
        else:
            kind = {"return": text}
        return {**kind, "id": command["id"]}
