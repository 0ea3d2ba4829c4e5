// Workers under a policy that lets scripts come from this server alone (Trusted Types, W3C). Who
// needs one imports its address with ?worker and starts it here:
//
//   import address from "./layout.ts?worker";
//   const worker = startWorker(address);

interface TrustedTypesFactory {
  createPolicy(name: string, rules: { createScriptURL: (url: string) => string }): {
    createScriptURL: (url: string) => unknown;
  };
}

/** own lets through the scripts of the bundle, which are below /assets/. */
function own(url: string): string {
  const at = new URL(url, location.origin);
  if (at.origin !== location.origin || !at.pathname.startsWith("/assets/")) {
    throw new TypeError(`${url} is no script of the console`);
  }
  return at.href;
}

const factory = (globalThis as { trustedTypes?: TrustedTypesFactory }).trustedTypes;
const policy = factory?.createPolicy("portcullis", { createScriptURL: own });

/** startWorker starts a worker of the bundle. */
export function startWorker(address: string): Worker {
  const url = policy === undefined ? own(address) : policy.createScriptURL(address);
  return new Worker(url as string, { type: "classic" });
}
