// The question "why?" as an address that can be pasted into a ticket, and an answer of
// GET /v1/explain as what the page tells. Pure.

/** A question; "" = left out. Without from or without to it asks who reaches, or who is reached. */
export interface Question {
  from: string;
  to: string;
  service: string;
  via: string;
  live: boolean;
}

export const nothing: Question = { from: "", to: "", service: "", via: "", live: false };

/** read reads the query of an address. */
export function read(query: string): Question {
  const q = new URLSearchParams(query);
  const get = (key: string): string => (q.get(key) ?? "").trim();
  return { from: get("from"), to: get("to"), service: get("service"), via: get("via"),
    live: get("live") === "true" };
}

/** address is the path of a question. */
export function address(q: Question): string {
  const parts = (["from", "to", "service", "via"] as const).filter((key) => q[key] !== "")
    .map((key) => `${key}=${encoded(q[key])}`);
  if (q.live) parts.push("live=true");
  return parts.length === 0 ? "/why" : `/why?${parts.join("&")}`;
}

/** encoded keeps what people read: tcp/3306 stays tcp/3306. */
const encoded = (text: string): string =>
  encodeURIComponent(text).replace(/%2F/g, "/").replace(/%3A/g, ":").replace(/%2C/g, ",")
    .replace(/%40/g, "@");

/** isAsked says whether there is enough to ask; `who` = about any other end. */
export const isAsked = (q: Question): boolean => q.from !== "" || q.to !== "";

/** title says a question in words. */
export function title(q: Question): string {
  const service = q.service === "" ? "" : ` by ${q.service}`;
  if (q.from === "" && q.to === "") return "Why?";
  if (q.from === "") return `Who reaches ${q.to}${service}?`;
  if (q.to === "") return `Whom does ${q.from} reach${service}?`;
  return `Does ${q.from} reach ${q.to}${service}?`;
}

/** The query of the request: an end that is left out is anybody. */
export function asking(q: Question): Record<string, string | boolean | undefined> {
  return { from: q.from || "any", to: q.to || "any", service: q.service || undefined,
    via: q.via || undefined, live: q.live || undefined };
}
