// What can be told of a MAC and of addresses before the server is asked. No DOM.

/** An address as people write it: one alone has no prefix. */
export const shortAddress = (text: string): string => text.replace(/(\.\d+)\/32$|(:[^/]*)\/128$/,
  "$1$2");

/** All addresses of an instance. */
export const addressesOf = (i: { ports?: { addresses?: string[] }[] }): string =>
  (i.ports ?? []).flatMap((p) => p.addresses ?? []).map(shortAddress).join(", ");

/** What is wrong with a MAC; "" = nothing. */
export function badMAC(text: string): string {
  if (!/^[0-9a-f]{2}([:-][0-9a-f]{2}){5}$/i.test(text)) return "Want a MAC such as 02:00:00:00:00:11.";
  return parseInt(text.slice(0, 2), 16) & 1 ? "This MAC is of many (its first byte is odd)." : "";
}

/** What is wrong with an address of a port; "" = nothing that can be seen without asking. */
export function badAddress(text: string): string {
  const [address = "", bits] = text.split("/");
  const isBad = address.includes(":") ? !/^[0-9a-f:.]+$/i.test(address) || address.includes(":::")
    : !/^\d{1,3}(\.\d{1,3}){3}$/.test(address) || address.split(".").some((n) => Number(n) > 255);
  if (isBad) return `${text}: want an address such as 203.0.113.11 or 2001:db8::11.`;
  return bits === "0" ? `${text}: all addresses are no instance's own.` : "";
}

/** A MAC that is nobody's yet, most likely: locally administered, of one. */
export function drawMAC(random: (n: number) => Uint8Array = (n) =>
  crypto.getRandomValues(new Uint8Array(n))): string {
  return ["02", ...[...random(5)].map((b) => b.toString(16).padStart(2, "0"))].join(":");
}
