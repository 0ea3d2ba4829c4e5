// Signing in: by a token, or at a provider if the server knows one. The shell shows it in place of
// the pages, or above them when a session has ended, so that nothing of them is lost.

import { useState } from "preact/hooks";

import { Problem } from "./api";
import { problemOf } from "./api/problem";
import { Notice } from "./ui/notice";
import { TextField } from "./ui/field";

/** Opens a session with a token, or ends the one that the browser has. */
const session = async (method: "POST" | "DELETE", token?: string): Promise<void> => {
  let answer: Response;
  try {
    answer = await fetch("/v1/session", { method, credentials: "same-origin", redirect: "error",
      headers: { Accept: "application/json", ...(token && { Authorization: `Bearer ${token}` }) } });
  } catch {
    throw new Problem(0, "The server is not responding. Try again in a moment.");
  }
  if (!answer.ok) throw problemOf(answer.status, await answer.text(), answer.headers);
};

export const signOut = () => session("DELETE");

const provider = () =>
  document.querySelector<HTMLMetaElement>('meta[name="portcullis-sign-in"]')?.content ?? "";

/** The path that a provider sends back to, so that the same page is shown again. */
const back = () => `${provider()}?` +
  new URLSearchParams({ to: location.pathname + location.search }).toString();

export function SignInForm({ done }: { done: () => void }) {
  const [token, setToken] = useState("");
  const [error, setError] = useState("");
  const [busy, setBusy] = useState(false);
  const send = async (e: Event) => {
    e.preventDefault();
    if (token.trim() === "") return setError("Enter a token: tokens begin with pc_.");
    if (!/^[!-~]+$/.test(token.trim())) return setError("That is not a token: tokens begin with pc_.");
    setBusy(true);
    try {
      await session("POST", token.trim());
      setToken("");
      done();
    } catch (why) {
      setError(why instanceof Problem && why.status === 401
        ? "The token is unknown, expired or revoked."
        : (why as Error).message);
    } finally {
      setBusy(false);
    }
  };
  return (
    <form class="stack" onSubmit={send}>
      {provider() !== "" && <>
        <a class="button main" href={back()}>Sign in with your provider</a>
        <p class="dim or"><span>or with a token</span></p>
      </>}
      <input hidden autocomplete="username" value="token" readOnly />
      <TextField label="Token" type="password" autocomplete="current-password" value={token}
        set={(v) => { setToken(v); setError(""); }} error={error} placeholder="pc_…"
        hint={<>An operator creates one: <code>portcullis token create --role editor</code></>} />
      <div><button type="submit" class="main" disabled={busy}>Sign in</button></div>
    </form>
  );
}

/** The page of whoever is not signed in. */
export function SignInPage({ done, away }: { done: () => void; away: boolean }) {
  return (
    <main class="signin stack wide" id="main">
      <div class="brand"><Gate /><h1>Portcullis</h1></div>
      {away && (
        <Notice kind="warn" title="The server is not responding" live>
          <p>Retrying every few seconds.</p>
        </Notice>
      )}
      <SignInForm done={done} />
    </main>
  );
}

/** The mark of the console: a gate. */
export const Gate = () => (
  <svg class="gate" viewBox="0 0 24 24" width="24" height="24" aria-hidden="true">
    <path d="M4 21V9a8 8 0 0 1 16 0v12M8 6v15M12 3v18M16 6v15M4 11h16M4 16h16" fill="none"
      stroke="currentColor" stroke-width="1.8" stroke-linecap="round" />
  </svg>
);
