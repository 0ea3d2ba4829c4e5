// The shell around every page: the bar, the ways, who is signed in, what the server says of itself.
// main.tsx draws it.

import type { ComponentChildren, ComponentType } from "preact";
import { useEffect, useErrorBoundary, useMemo, useRef, useState } from "preact/hooks";

import { Client } from "./api";
import type { Who } from "./api";
import { AppContext, mayOperate, seesAll } from "./app";
import { DraftBar } from "./draft/bar";
import { drafts, keptScopes } from "./draft/store";
import { followLinks, go, useAddress } from "./go";
import { KeysDialog, areOn, useKeys } from "./keys";
import { find } from "./router";
import type { Params } from "./router";
import { routes } from "./routes";
import { Search } from "./search";
import { useNews, useSession } from "./session";
import { Gate, SignInForm, SignInPage, signOut } from "./signin";
import { TrialBar } from "./draft/trial";
import { Dialog } from "./ui/dialog";
import { Failure, Notice, Waiting } from "./ui/notice";

export function Shell() {
  const session = useSession();
  useEffect(followLinks, []);
  const { who } = session;
  if (!who || session.state === "out") {
    return session.state === "asking" && !session.away ? <main id="main" class="page">
      <h1 class="only-read">Portcullis</h1><Waiting what="the console" /></main>
      : <SignInPage done={session.retry} away={session.away} />;
  }
  return <Inside who={who} session={session} />;
}

function Inside({ who, session }: { who: Who; session: ReturnType<typeof useSession> }) {
  const address = useAddress();
  const project = who.project ?? address.searchParams.get("project") ?? "";
  // a new one for who signs in again: what was refused meanwhile is asked anew
  const client = useMemo(() => new Client(project, session.heard), [project, who]);
  const isIn = session.state === "in";
  const { generation, trial } = useNews(client, who, isIn);
  const [said, say] = useState("");
  const [help, setHelp] = useState(false);
  const [on, setOn] = useState(areOn());
  useKeys(() => setHelp(true));
  const app = useMemo(() => ({ who, project, client, generation, trial, say }),
    [who, project, client, generation, trial]);
  return (
    <AppContext.Provider value={app}>
      <a class="skip" href="#main" onClick={(e) => {
        e.preventDefault();
        document.getElementById("main")?.focus();
      }}>Skip to content</a>
      <Bar who={who} project={project} help={() => setHelp(true)} out={session.retry} />
      <Ways path={address.pathname} who={who} />
      <div class="body">
        {session.away && (
          <aside aria-label="Connection">
            <Notice kind="warn" title="The server is not responding" live>
              <p>Retrying every few seconds. What you have entered is kept.</p>
            </Notice>
          </aside>
        )}
        <TrialBar />
        <Outlet path={address.pathname} project={project} />
      </div>
      <DraftBar path={address.pathname} />
      {session.state === "ended" && (
        <Dialog title="Your session has ended" close={() => {}} isFixed>
          <p>Sign in again to continue. Your page and your draft are kept.</p>
          <SignInForm done={session.retry} />
        </Dialog>
      )}
      {help && <KeysDialog close={() => setHelp(false)} on={on} set={setOn} />}
      <div class="only-read" role="status" aria-live="polite">{said}</div>
    </AppContext.Provider>
  );
}

function Bar({ who, project, help, out }: {
  who: Who; project: string; help: () => void; out: () => void;
}) {
  const [error, setError] = useState("");
  const leave = async () => {
    setError("");
    if (drafts.hasAny(keptScopes()) &&
      !confirm("The draft has not been applied. Sign out and discard it?")) return;
    try {
      await signOut();
    } catch (e) {
      return setError((e as Error).message);
    }
    sessionStorage.clear();
    location.assign("/");
    out();
  };
  return (
    <header class="bar">
      <a class="brand" href="/" aria-label="Portcullis"><Gate /><span>Portcullis</span></a>
      <Search />
      <div class="row bar-end">
        {(project !== "" || !who.project) && <Scope who={who} project={project} />}
        <details class="menu" onFocusOut={(e) => {
          if (!e.currentTarget.contains(e.relatedTarget as Node | null)) e.currentTarget.open = false;
        }} onKeyDown={(e) => { if (e.key === "Escape") e.currentTarget.open = false; }}>
          <summary><span class="who">{who.description || who.name}</span><span class="only-read"> (you)</span></summary>
          <div class="menu-body stack">
            <p><strong>{who.description || who.name}</strong><br />
              {who.description && <><span class="dim">{who.name}</span><br /></>}
              Role: {who.role}, {who.project ? `project ${who.project}` : "all projects"}</p>
            <Theme />
            <button type="button" onClick={help}>Keyboard shortcuts</button>
            <button type="button" onClick={() => void leave()}>Sign out</button>
            {error !== "" && <p class="lost" role="alert">You are still signed in. {error}</p>}
          </div>
        </details>
      </div>
    </header>
  );
}

/** Which project the pages are of; who is of one sees it, and has no choice. */
function Scope({ who, project }: { who: Who; project: string }) {
  if (who.project) return <span class="mark plain">project {who.project}</span>;
  return project === "" ? <a class="mark plain" href="/access">all projects</a> : (
    <span class="mark new">project {project}
      <button type="button" class="bare" aria-label="Show all projects"
        onClick={() => go("/?project=")}>✕</button>
    </span>
  );
}

function Theme() {
  const [theme, set] = useState(localStorage.getItem("portcullis-theme") ?? "");
  useEffect(() => {
    document.documentElement.dataset.theme = theme;
    localStorage.setItem("portcullis-theme", theme);
  }, [theme]);
  return (
    <label>Theme
      <select value={theme} onChange={(e) => set(e.currentTarget.value)}>
        <option value="">System</option>
        <option value="light">Light</option>
        <option value="dark">Dark</option>
      </select>
    </label>
  );
}

const ways: readonly (readonly [string, string, (w: Who) => boolean])[] = [
  ["/", "Groups", () => true], ["/instances", "Instances", () => true],
  ["/picture", "Reachability", () => true], ["/why", "Why?", () => true],
  ["/denied", "Denied", () => true], ["/unused", "Unused rules", () => true],
  ["/hosts", "Hosts", seesAll],
  ["/history", "History", seesAll], ["/access", "Access", mayOperate],
];

function isAt(path: string, way: string): boolean {
  if (way === "/") return path === "/" || path.startsWith("/groups");
  if (way === "/picture" && path === "/matrix") return true;
  return path === way || path.startsWith(way + "/");
}

const Ways = ({ path, who }: { path: string; who: Who }) => (
  <nav class="ways" aria-label="Pages">
    <ul class="plain">{ways.filter(([, , may]) => may(who)).map(([to, title]) => (
      <li key={to}><a href={to} aria-current={isAt(path, to) ? "page" : undefined}>{title}</a></li>
    ))}</ul>
  </nav>
);

type Drawn = ComponentType<{ params: Params }>;

/** The page of the path. Its code comes when it is opened for the first time. */
function Outlet({ path, project }: { path: string; project: string }) {
  const found = find(routes, path);
  const [page, set] = useState<{ of: unknown; Page?: Drawn; error?: unknown }>({ of: undefined });
  const [round, again] = useState(0);
  const main = useRef<HTMLElement>(null);
  const isFirst = useRef(true);
  useEffect(() => {
    if (!found) return;
    let isLate = false;
    const { name, generation } = found.params;
    document.title = [name ?? generation, found.route.title, "Portcullis"].filter(Boolean).join(" · ");
    found.route.load().then((m) => { if (!isLate) set({ of: found.route, Page: m.default }); },
      (error) => { if (!isLate) set({ of: found.route, error }); });
    return () => { isLate = true; };
  }, [found?.route, path, round]);
  useEffect(() => {
    if (isFirst.current) isFirst.current = false;
    else if (document.querySelector("dialog[open]") === null) {
      main.current?.focus();
      scrollTo(0, 0);
    }
  }, [path]);
  return (
    <main id="main" class="page" ref={main} tabIndex={-1}>
      {!found ? <Nothing path={path} /> : page.of !== found.route
        ? <><h1 class="only-read">{found.route.title}</h1><Waiting what="the page" /></>
        : page.Page ? <Guarded key={`${project}\n${path}`}>
            <page.Page params={found.params} /></Guarded>
        : <Failure error={new Error("The server did not respond, or has been updated: " +
            "reload the page.")} what="load the page" again={() => again(round + 1)} />}
    </main>
  );
}

/** A page that breaks, such as by an answer of another version, breaks alone, and says so. */
function Guarded({ children }: { children: ComponentChildren }) {
  const [error, reset] = useErrorBoundary();
  if (error === undefined) return <>{children}</>;
  return <Failure error={error} what="load the page" again={() => { reset(); location.reload(); }} />;
}

const Nothing = ({ path }: { path: string }) => (
  <div class="stack">
    <h1>Page not found</h1>
    <p>There is no page at <code>{path}</code>. Go to <a href="/">Groups</a>.</p>
  </div>
);
