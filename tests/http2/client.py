"""A client of tests/http2/clients: httpx.

    client.py VERSION URL CA one-by-one|together

Reads lines of a signature and a file. Writes a line for each: the status, the version, the content of the answer.
"""

import asyncio
import pathlib
import ssl
import sys

import httpx


async def main(version, url, authority, how):
    trust = ssl.create_default_context(cafile=authority)
    is_2 = version == "2"
    # With HTTP/1 off, httpx speaks HTTP/2 without TLS, too.
    async with httpx.AsyncClient(http1=not is_2, http2=is_2, verify=trust, timeout=100, trust_env=False) as client:

        async def send(signature, file):
            content = pathlib.Path(file).read_bytes()
            try:
                answer = await client.post(url, content=content, headers={"propify-signature": signature})
            except httpx.HTTPError as error:
                return f"0 0 {error!r}"
            text = answer.text.replace("\n", " ")
            return f"{answer.status_code} {answer.http_version.removeprefix('HTTP/')} {text}"

        lines = [line.split() for line in sys.stdin]
        if how == "together":
            answers = await asyncio.gather(*(send(*line) for line in lines))
        else:
            answers = [await send(*line) for line in lines]
    print("\n".join(answers))


asyncio.run(main(*sys.argv[1:]))
