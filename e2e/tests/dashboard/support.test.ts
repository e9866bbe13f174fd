// What support staff do for a customer, on real sessions beside made-up ones; with scripts and without.
import assert from "node:assert/strict";
import { before, suite, test } from "node:test";
import type { Page } from "playwright-core";
import { closeWindowsAfterEach } from "../../dashboard/browser.ts";
import { register } from "../../dashboard/device.ts";
import { download, fact, forcePing, open, act, rowOf, search, shows, summary } from "../../dashboard/sessions.ts";
import { pageOf, type SignedIn, signedIn } from "../../dashboard/staff.ts";
import { SessionState } from "../../gen/pinger/v1/session_pb.ts";
import { deliverMail, environment, eventually } from "../environment.ts";

closeWindowsAfterEach();

let kim: SignedIn;
before(async () => {
  kim = await signedIn("support");
});

/** A span, as far as it is looked at here. */
interface Span {
  name: string;
  parent_id: string | null;
  attributes: Record<string, string>;
}

/** The states of all rows of a list. */
async function states(page: Page): Promise<string[]> {
  return page.locator("tbody .state").allInnerTexts();
}

for (const scripts of [true, false]) {
  suite(`support ${scripts ? "with" : "without"} scripts`, { timeout: 300_000 }, () => {
    const pageOfKim = () => pageOf(kim, { javaScriptEnabled: scripts });

    test("a session is found by each qualifier, and by none that does not fit it", async () => {
      const [device, other] = [await register(), await register()];
      const page = await pageOfKim();
      await open(page, device);
      const own = `user:${device.userId}`;
      // By each: what finds it, and what does not.
      const qualifiers: [fits: string, doesNotFit: string][] = [
        [`address:${environment.imapUser}`, "address:nobody@example.org"],
        [`device:${device.deviceId}`, `device:${other.deviceId}`],
        [own, `user:${other.userId}`],
        [`context:${device.context}`, `context:${other.context}`],
        [`session:${device.sessionId}`, `session:${other.sessionId}`],
        [`host:${environment.imapHost} ${own}`, `host:other.example ${own}`],
        [`state:watching ${own}`, `state:retrying ${own}`],
        [`-state:ended ${own}`, `-state:watching ${own}`],
        [`since:1h ${own}`, "since:1h state:ended"],
        [`changed:1h ${own}`, "changed:1h state:ended"],
      ];
      for (const [fits, doesNotFit] of qualifiers) {
        await search(page, fits);
        if (fits.startsWith("session:")) {
          await page.getByRole("heading", { name: "Why no push?" }).waitFor();
          assert.equal(new URL(page.url()).pathname, `/sessions/${device.sessionId}`);
        } else {
          await rowOf(page, device).waitFor();
          assert.match(await summary(page).innerText(), /match\.$/, fits);
        }
        await search(page, doesNotFit);
        await page.getByRole("heading", { level: 1 }).waitFor();
        assert.equal(await rowOf(page, device).count(), 0, doesNotFit);
        assert.equal(await page.getByRole("alert").count(), 0, `${doesNotFit} is understood`);
      }
      // Without a qualifier, its shape tells; an id leads to the session itself.
      await search(page, device.userId);
      await rowOf(page, device).waitFor();
      await search(page, device.sessionId);
      await page.getByRole("heading", { name: "Why no push?" }).waitFor();
      assert.equal(new URL(page.url()).pathname, `/sessions/${device.sessionId}`);
    });

    test("a session is found by the node that runs it, and one that no node runs is not", async () => {
      const device = await register();
      const page = await pageOfKim();
      await open(page, device);
      const node = (await fact(page, "Node").locator(".mono").innerText()).split("…")[0]!;
      await search(page, `node:${node} user:${device.userId}`);
      await rowOf(page, device).waitFor();

      await page.goto("/sessions?q=state:ended");
      const ended = page.locator("tbody tr").first();
      const id = (await ended.locator("a.row").getAttribute("href"))!;
      const user = await ended.locator("td.pair .two > span").innerText();
      await search(page, `user:${user}`);
      await page.locator(`a.row[href="${id}"]`).waitFor();
      await search(page, `node:${node} user:${user}`);
      await summary(page).waitFor();
      assert.equal(await page.getByRole("alert").count(), 0, "the node is known");
      assert.equal(await page.locator(`a.row[href="${id}"]`).count(), 0);
      await search(page, "node:ffff");
      await page.getByRole("alert").getByText("No node that runs sessions begins with “ffff”").waitFor();
    });

    test("a session is found by its reason, and by since when it is known", async () => {
      const username = `refused-${Math.random().toString(36).slice(2)}`;
      // The first refusal is not the last word: it tries once more, later.
      const device = await register({ port: environment.scrawlRefusesPort, username, until: SessionState.RETRYING });
      const page = await pageOfKim();
      for (const reason of ["login_refused", "refused", "person"]) {
        await search(page, `reason:${reason} user:${device.userId}`);
        await rowOf(page, device).waitFor();
        assert.deepEqual(await states(page), ["Password refused"]);
      }
      await search(page, `reason:throttled user:${device.userId}`);
      await page.getByRole("link", { name: "Clear the search" }).waitFor();

      // The oldest that is known was registered before the last hour, and is found without that.
      await page.goto("/sessions?q=&sort=-registered");
      const row = page.locator("tbody tr").first();
      const id = (await row.locator("a.row").getAttribute("href"))!;
      const user = await row.locator("td.pair .two > span").innerText();
      const there = () => page.locator(`a.row[href="${id}"]`);
      await search(page, `user:${user}`);
      await there().waitFor();
      await search(page, `since:400d user:${user}`);
      await there().waitFor();
      await search(page, `since:1m user:${user}`);
      await summary(page).waitFor();
      assert.equal(await there().count(), 0);
    });

    test("sessions are found by state and by reason, and a filter is a link that can be sent on", async () => {
      const page = await pageOfKim();
      for (const [state, word] of Object.entries({
        waiting: /^Waiting/,
        watching: /^Watching/,
        holding: /^Holding/,
        // A session that retries says why.
        retrying: /^(?!Waiting|Watching|Holding|Ended|Revoked)/,
        ended: /^(Ended|Revoked)/,
      })) {
        await search(page, `state:${state}`);
        const found = await states(page);
        assert.ok(found.length > 0, state);
        for (const text of found) assert.match(text, word, state);
      }
      await search(page, "state:retrying");
      const retrying = await summary(page).innerText();
      await page.getByRole("group", { name: "Filters" }).getByRole("link", { name: /^Throttled/ }).click();
      await page.getByRole("link", { name: "Remove filter reason throttled" }).waitFor();
      assert.notEqual(await summary(page).innerText(), retrying);
      const sent = await pageOfKim();
      await sent.goto(page.url());
      assert.deepEqual(await states(sent), await states(page));
      await page.getByRole("link", { name: "Remove filter state retrying" }).click();
      await page.getByRole("link", { name: "Remove filter state retrying" }).waitFor({ state: "detached" });

      await search(page, "state:asleep colour:red");
      await page.getByRole("alert").getByText("No state is called “asleep”").waitFor();
      await page.getByRole("alert").getByText("colour:").waitFor();
      await search(page, "user:nobody-of-this-name");
      await page.getByRole("link", { name: "Clear the search" }).click();
      await page.getByRole("heading", { name: "Sessions", level: 1 }).waitFor();
      assert.ok((await states(page)).length > 10);
    });

    test("the list turns its pages, back and forth", async () => {
      const page = await pageOfKim();
      await page.goto("/sessions");
      const ids = () => page.locator("tbody a.row").evaluateAll((links) => links.map((link) => link.getAttribute("href")));
      const first = await ids();
      assert.ok(first.length >= 10);
      await page.getByRole("link", { name: "Older" }).click();
      await page.waitForURL(/older=/);
      const second = await ids();
      assert.deepEqual(second.filter((id) => first.includes(id)), []);
      await page.getByRole("link", { name: "Newer" }).click();
      await page.waitForURL(/newer=/);
      assert.deepEqual(await ids(), first);
    });

    test("a forced ping finds mail, and the push arrives at the device and on the page", async () => {
      const device = await register();
      const page = await pageOfKim();
      await open(page, device);
      assert.match(await forcePing(page), /UIDNEXT \d[\d,]*\s+Nothing new/);

      // While the device is awake nothing is connected, so only the ping can find it.
      await device.defer(300_000);
      await deliverMail();
      await open(page, device);
      const run = await forcePing(page);
      assert.match(run, /Logged in/);
      assert.match(run, /UIDNEXT [\d,]+ → [\d,]+\s+New mail/);
      assert.match(run, /There is new mail\. Its push waits\./);
      assert.deepEqual(await device.pushes("new_mail"), []);

      await device.defer(0);
      const push = await device.pushed("new_mail");
      assert.equal(push.collapse_id, device.sessionId);
      await open(page, device);
      const deliveries = page.getByRole("table", { name: "Deliveries of this session" });
      await shows(page, "the delivery", () => deliveries.getByRole("row", { name: /New mail/ }).getByText("Accepted"));
      await page.getByRole("region", { name: "Timeline" }).getByText(new RegExp(kim.name)).first().waitFor();
    });

    test("a test push arrives", async () => {
      const device = await register();
      const page = await pageOfKim();
      await open(page, device);
      await act(page, "Send test push");
      await device.pushed("test");
      const deliveries = page.getByRole("table", { name: "Deliveries of this session" });
      await shows(page, "the delivery", () => deliveries.getByRole("row", { name: /Test push/ }).getByText("Accepted"));
    });

    test("a session is traced for an hour, and its page leads to the trace of a forced ping", async () => {
      const device = await register();
      const page = await pageOfKim();
      await open(page, device);
      assert.equal(await fact(page, "Traced until").count(), 0);
      await act(page, "Trace this session");
      const until = await fact(page, "Traced until").locator("time").getAttribute("datetime");
      const minutes = (Date.parse(until!) - Date.now()) / 60_000;
      assert.ok(minutes > 55 && minutes <= 61, `${minutes} minutes`);

      await forcePing(page);
      await open(page, device);
      const link = page.getByRole("region", { name: "Traces" }).getByRole("link", { name: "The last forced ping" });
      const href = (await link.getAttribute("href"))!;
      assert.match(href, new RegExp(`^${environment.traceUrl}/[0-9a-f]{32}$`));
      const id = href.slice(-32);
      // The spans come in batches: what stands where Jaeger would has them a moment later.
      const spans = await eventually("the spans of the forced ping", async () => {
        const { spans } = (await (await fetch(href)).json()) as { spans: Span[] };
        return spans.some(({ parent_id }) => parent_id === null) ? spans : undefined;
      });
      await link.click();
      await page.waitForURL(href);
      await page.getByText(id).waitFor();
      const root = spans.find(({ parent_id }) => parent_id === null)!;
      assert.equal(root.name, "session.mail");
      assert.equal(root.attributes["pinger.session_id"], device.sessionId);
      assert.equal(root.attributes["pinger.traced"], "true");
      assert.ok(spans.some(({ name }) => name === "imap.ping"), "it asked the mail server");
    });

    test("a revoked device is refused and told to register, and the reason is in the audit", async () => {
      const device = await register();
      const page = await pageOfKim();
      await open(page, device);
      assert.equal(await device.refused(), "");
      await page.getByRole("link", { name: "Revoke…" }).click();
      await page.getByRole("heading", { name: "Revoke this session?" }).waitFor();
      await page.getByText(device.sessionId).first().waitFor();
      await page.getByLabel("Reason").selectOption("other");
      await page.getByRole("button", { name: /^Revoke / }).click();
      await page.getByRole("alert").getByText("Say in the note what the other reason is.").waitFor();
      assert.equal(await device.refused(), "", "nothing was done yet");
      await page.getByLabel("Reason").selectOption("lost");
      await page.getByLabel("Ticket or note").fill("ticket 58102");
      await page.getByRole("button", { name: /^Revoke / }).click();
      await page.getByRole("heading", { name: /^Revoked/, level: 1 }).waitFor();
      assert.equal(await page.getByRole("button", { name: "Force ping" }).count(), 0);

      assert.equal(await device.refused(), "TOKEN_DEAD");
      await device.pushed("register");
      await page.goto(`/audit?subject=${device.sessionId}`);
      const entry = page.getByRole("row", { name: /Revoked a session/ });
      await entry.getByText("“Device lost or stolen: ticket 58102”").waitFor();
      await entry.getByText(kim.name).waitFor();
    });

    test("a search is taken home as CSV", async () => {
      const userId = `=cmd|' /C calc'!${Math.random().toString(36).slice(2)}`.replaceAll(" ", "");
      const [device, second] = [await register({ userId }), await register({ userId })];
      const page = await pageOfKim();
      await search(page, `user:${userId}`);
      const { name, text } = await download(page, page.getByRole("link", { name: "CSV, 2 rows" }));
      assert.equal(name, "sessions.csv");
      const lines = text.trimEnd().split("\r\n");
      assert.equal(lines.length, 3);
      assert.match(lines[0]!, /^session,state,reason,/);
      assert.ok(lines[1]!.startsWith(`"${second.sessionId}","watching"`), lines[1]);
      assert.ok(lines[2]!.startsWith(`"${device.sessionId}","watching"`), lines[2]);
      assert.ok(lines[1]!.includes(`,"'=cmd|`), "a formula of a customer's is none");
    });

    test("the audit shows who looked and who acted, is filtered, and is taken home", async () => {
      const device = await register();
      const page = await pageOfKim();
      await open(page, device);
      await forcePing(page);
      await page.goto(`/audit?subject=${device.sessionId}`);
      const rows = page.locator("tbody").getByRole("row");
      await rows.filter({ hasText: "Looked at a session" }).first().waitFor();
      await rows.filter({ hasText: "Forced a ping" }).first().waitFor();
      assert.deepEqual([...new Set(await page.locator("tbody td:nth-child(2)").allInnerTexts())], [kim.name]);

      await page.getByRole("group", { name: "Show" }).getByRole("link", { name: "Forced a ping" }).click();
      await page.waitForURL(/action=ping_forced/);
      assert.equal(await rows.count(), 1);
      const { name, text } = await download(page, page.getByRole("link", { name: "CSV" }));
      assert.equal(name, "pinger-audit.csv");
      const lines = text.trimEnd().split("\r\n");
      assert.equal(lines.length, 2);
      assert.match(lines[0]!, /^seq,at,staff,action,subject,reason,address,hash$/);
      assert.ok(lines[1]!.includes(kim.name) && lines[1]!.includes("ping_forced"), lines[1]);
      assert.ok(lines[1]!.includes(device.sessionId), lines[1]);
    });
  });
}
