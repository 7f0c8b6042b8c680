// A service in TypeScript on the web's fetch event: StarlingMonkey, WASI 0.2.
declare function addEventListener(type: "fetch", listener: (event: { request: Request; respondWith(response: Promise<Response>): void }) => void): void;

addEventListener("fetch", (event) => event.respondWith(handle(event.request)));

async function handle(request: Request): Promise<Response> {
  const url = new URL(request.url);
  return new Response(`hello from ${url.pathname} (js)\n`, { headers: { "content-type": "text/plain" } });
}
