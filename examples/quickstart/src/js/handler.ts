// The JavaScript service at `/js`: TypeScript, run by QuickJS inside a WASI 0.3 component.
// QuickJS brings the language, not the web's APIs: there is no URL, TextEncoder or fetch here. HTTP comes from WASI.

// @ts-ignore: this module is the WIT interface that world.wit imports
import { Fields, Response } from "wasi:http/types@0.3.2";

/** Streams and futures of the component model, as the engine offers them. */
declare const wit: any;

interface Answer {
  status: number;
  type: string;
  body: string;
  /** Extra headers. */
  headers?: [string, string][];
}

export const handler = {
  async handle(request: any) {
    const [path, query = ""] = (request.getPathWithQuery() ?? "/").split("?", 2);
    const method = request.getMethod().tag;
    return send(answer(method, path.replace(/\/+$/, ""), parameters(query)));
  },
};

function answer(method: string, path: string, query: Map<string, string>): Answer {
  if (method !== "get" && method !== "head") {
    return { ...problem(405, "This takes GET, HEAD", path), headers: [["allow", "GET, HEAD"]] };
  }
  switch (path) {
    case "/js":
      return json({ component: "js", language: "TypeScript", engine: "QuickJS", wasi: "0.3" });
    case "/js/words":
      return json(words(query.get("text") ?? ""));
    default:
      return problem(404, "No such resource", path);
  }
}

/** What is in a text. */
function words(text: string) {
  const letters = [...text.toLowerCase()].filter((c) => /\p{L}|\p{N}/u.test(c));
  const reversed = [...text].reverse().join("");
  const palindrome = letters.length > 0 && letters.join("") === letters.reverse().join("");
  return { component: "js", text, words: text.split(/\s+/).filter(Boolean).length, letters: letters.length, reversed, palindrome };
}

function json(value: unknown): Answer {
  return { status: 200, type: "application/json", body: JSON.stringify(value) + "\n" };
}

function problem(status: number, title: string, instance: string): Answer {
  const body = JSON.stringify({ type: "about:blank", title, status, instance }) + "\n";
  return { status, type: "application/problem+json", body };
}

function send({ status, type, body, headers = [] }: Answer) {
  const fields = new Fields();
  for (const [name, value] of [["x-component", "js"], ["content-type", type], ...headers]) {
    fields.append(name, utf8(value));
  }
  const contents = wit.Stream(wit.Stream.U8);
  const trailers = wit.Future(wit.Future.RESULT_OPTION_OTHER_ERROR_CODE);
  const [response] = Response.new(fields, contents.readable, trailers.readable);
  response.setStatusCode(status);
  // Not awaited: the response goes out now, and its body is read while this writes it.
  (async () => {
    await contents.writable.writeAll(utf8(body));
    contents.writable.drop();
    await trailers.writable.write({ tag: "ok", val: null });
  })();
  return response;
}

function parameters(query: string): Map<string, string> {
  const pairs = query.split("&").map((pair) => pair.split("=", 2).map(decode));
  return new Map(pairs.map(([name, value = ""]) => [name, value]));
}

/** Undoes percent-encoding and `+`; what is not valid stays as it is. */
function decode(text: string): string {
  try {
    return decodeURIComponent(text.replace(/\+/g, " "));
  } catch {
    return text;
  }
}

function utf8(text: string): Uint8Array {
  const bytes: number[] = [];
  for (const piece of encodeURIComponent(text.toWellFormed()).matchAll(/%(..)|./g)) {
    bytes.push(piece[1] ? parseInt(piece[1], 16) : piece[0].charCodeAt(0));
  }
  return Uint8Array.from(bytes);
}
