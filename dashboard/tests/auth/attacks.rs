//! What other sites, other roles and other people's texts must not do.

use reqwest::Method;

use crate::support::{Browser, PASSWORD, World, client};

#[tokio::test]
async fn forms_of_other_sites_are_refused() {
    let world = World::new().await;
    let server = world.serve().await;
    let mut kim = server.admin("kim").await;
    let csrf = kim.csrf().await;
    let fields = [("role", "admin"), ("csrf", csrf.as_str())];
    let cases: [&[(&str, &str)]; 6] = [
        &[],
        &[("origin", "https://evil.example")],
        &[("origin", "null")],
        &[("origin", "http://127.0.0.1:1")],
        &[("sec-fetch-site", "cross-site")],
        &[("origin", &server.url), ("sec-fetch-site", "same-site")],
    ];
    for headers in cases {
        let mut request = kim.form("/staff/invite", &fields);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        kim.send(request).await.is(403, "Nothing was done");
    }
    assert!(world.store.open_invites(world.now()).await.unwrap().is_empty());
    // Signing in is no exception: nobody is signed in under somebody else's name.
    let form = kim.form("/sign-in", &[("name", "kim"), ("password", PASSWORD)]);
    kim.send(form.header("origin", "https://evil.example")).await.is(403, "Nothing was done");
    let form = kim.form("/staff/invite", &fields);
    kim.send(form.header("origin", server.url.clone())).await.is(200, "shown this once");
}

#[tokio::test]
async fn forms_without_the_token_are_refused() {
    let world = World::new().await;
    let server = world.serve().await;
    let mut kim = server.admin("kim").await;
    let mut amara = server.colleague(&mut kim, "admin", "amara").await;
    let (own, hers) = (kim.csrf().await, amara.csrf().await);
    let twice = format!("role=viewer&csrf={own}&csrf={own}");
    let bodies = [
        "role=viewer".to_owned(),
        "role=viewer&csrf=".to_owned(),
        format!("role=viewer&csrf={hers}"),
        format!("role=viewer&csrf={}x", &own[..42]),
        twice,
    ];
    let post = |browser: &Browser, body: String| {
        let request = browser.request(Method::POST, "/staff/invite").header("origin", server.url.clone());
        request.header("content-type", "application/x-www-form-urlencoded").body(body)
    };
    for body in bodies {
        let request = post(&kim, body.clone());
        kim.send(request).await.is(403, "Nothing was done");
    }
    // The token in a body that is no form doesn't count, and neither does one in the URL.
    let request = kim.request(Method::POST, &format!("/staff/invite?csrf={own}")).header("origin", server.url.clone());
    kim.send(request.header("content-type", "text/plain").body(format!("role=viewer&csrf={own}"))).await.is(403, "");
    let request = post(&kim, "role=viewer".to_owned()).header("x-pinger-csrf", own.clone());
    kim.send(request).await.is(200, "shown this once");
    let request = post(&kim, format!("csrf={own}&role={}", "x".repeat(100_000)));
    assert_eq!(kim.send(request).await.status, 413);
}

#[tokio::test]
async fn roles_hold_for_calls_by_hand() {
    let world = World::new().await;
    let server = world.serve().await;
    let mut kim = server.admin("kim").await;
    let id = world.store.all_staff().await.unwrap()[0].id;
    let mut viewer = server.colleague(&mut kim, "viewer", "vic").await;
    let mut support = server.colleague(&mut kim, "support", "sue").await;
    let admins = [
        "/staff/invite".to_owned(),
        "/staff/sign-ins/end".to_owned(),
        format!("/staff/{id}/role"),
        format!("/staff/{id}/disable"),
        format!("/staff/{id}/enable"),
        format!("/staff/{id}/end-sign-ins"),
        format!("/staff/{id}/remove-factors"),
    ];
    for path in &admins {
        let fields = [("role", "viewer"), ("id", "x")];
        viewer.post(path, &fields).await.is(403, "Your role can’t");
        support.post(path, &fields).await.is(403, "Your role can’t");
    }
    for path in
        ["/sessions/1/ping", "/sessions/1/revoke", "/sessions/1/push", "/sessions/1/trace", "/audit/check", "/x"]
    {
        viewer.post(path, &[]).await.is(403, "Your role can’t");
    }
    for path in ["/audit", "/audit.csv", "/sessions.csv", "/staff/x"] {
        viewer.get(path).await.is(403, "Your role can’t");
    }
    support.get("/audit").await.is(200, "Audit");
    support.get(&format!("/staff/{id}")).await.is(403, "Your role can’t");
    // A viewer sees colleagues, and neither buttons nor where they are.
    let page = viewer.get("/staff").await;
    page.is(200, "kim");
    assert!(!page.text.contains("/staff/invite") && !page.text.contains("sign-ins/end"), "{}", page.text);
    let told = world.told().await;
    assert!(told.contains(&"vic forbidden POST /staff/invite".to_owned()), "{told:?}");
    let all = world.store.all_staff().await.unwrap();
    assert!(all.iter().all(|person| person.disabled_at.is_none()));
}

#[tokio::test]
async fn nothing_is_shown_to_who_is_not_signed_in() {
    let world = World::new().await;
    let server = world.serve().await;
    let mut stranger = server.browser();
    for path in ["/", "/sessions", "/staff", "/audit", "/audit.csv", "/account", "/nowhere", "/assets", "/sign-out"] {
        let page = stranger.get(path).await;
        assert_eq!(page.status, 303, "{path}: {}", page.text);
        assert!(page.location.unwrap().starts_with("/sign-in"), "{path}");
    }
    for path in ["/staff/invite", "/account/password", "/sign-out", "/theme", "/sessions/1/revoke"] {
        stranger.post(path, &[("csrf", "x")]).await.leads_to("/sign-in");
    }
    let bare = client().get(format!("{}/sessions", server.url)).header("accept", "text/event-stream");
    assert_eq!(bare.send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn other_names_for_this_machine_lead_nowhere() {
    let world = World::new().await;
    let server = world.serve().await;
    let mut browser = server.browser();
    for host in ["evil.example", "192.0.2.1", "localhost.evil.example:8480"] {
        let request = browser.request(Method::GET, "/sign-in").header("host", host);
        assert_eq!(browser.send(request).await.status, 421, "{host}");
    }
    let request = browser.request(Method::GET, "/sign-in").header("host", "localhost:8480");
    browser.send(request).await.is(200, "localhost:8480, for staff");
}

#[tokio::test]
async fn pages_carry_a_strict_policy() {
    let world = World::new().await;
    let server = world.serve().await;
    let mut kim = server.admin("kim").await;
    for path in ["/account", "/staff", "/audit", "/sign-in", "/nowhere"] {
        let page = kim.get(path).await;
        let policy = page.headers["content-security-policy"].to_str().unwrap();
        // It lets WebAssembly be compiled, and no text be run.
        let rest = policy.replace("'wasm-unsafe-eval'", "");
        assert!(policy.starts_with("default-src 'none'; ") && !rest.contains("unsafe"), "{policy}");
        for part in ["frame-ancestors 'none'", "form-action 'self'", "base-uri 'none'"] {
            assert!(policy.contains(part), "{policy}");
        }
        assert_eq!(page.headers["x-content-type-options"], "nosniff");
        assert_eq!(page.headers["referrer-policy"], "same-origin");
        assert_eq!(page.headers["cache-control"], "no-store", "{path}");
        assert!(!page.text.contains(" style="), "{path}: {}", page.text);
        // Scripts are files of ours, and none is in the page.
        for script in page.text.split("<script").skip(1) {
            assert!(script.starts_with(" type=\"module\" src=\"/assets/"), "{path}: {script}");
            assert!(script.split_once('>').unwrap().1.starts_with("</script>"), "{path}: {script}");
        }
    }
    let page = kim.get("/account").await;
    let style = page.text.split("rel=\"stylesheet\" href=\"").nth(1).unwrap().split('"').next().unwrap();
    let style = server.browser().get(style).await;
    assert_eq!((style.status, style.headers["content-type"].to_str().unwrap()), (200, "text/css; charset=utf-8"));
    assert!(style.headers["cache-control"].to_str().unwrap().contains("immutable"));
    assert_eq!(server.browser().get("/assets/none.css").await.status, 404);
}

#[tokio::test]
async fn texts_of_others_are_shown_as_texts() {
    let world = World::new().await;
    let server = world.serve().await;
    let mut kim = server.admin("kim").await;
    let evil = "<img src=x onerror=alert(1)>'\"; DROP TABLE staff; --";
    let mut vic = server.colleague(&mut kim, "viewer", "vic").await;
    // In the browser's name, which is shown under “signed in”.
    let form = vic.form("/sign-in", &[("name", "vic"), ("password", PASSWORD)]).header("origin", server.url.clone());
    let mut request = form.build().unwrap();
    request.headers_mut().insert("user-agent", "<img src=x onerror=alert(1)>".parse().unwrap());
    assert_eq!(client().execute(request).await.unwrap().status(), 303);
    // In names, reasons, filters and fields.
    let page = vic.sign_in(evil, evil).await;
    page.is(422, "That is not right.");
    assert!(!page.text.contains("<img"), "{}", page.text);
    let id = world.store.all_staff().await.unwrap()[1].id;
    kim.post(&format!("/staff/{id}/role"), &[("role", "support"), ("reason", evil)])
        .await
        .is(200, "The role is changed");
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("staff", evil), ("subject", evil), ("action", evil)])
        .finish();
    for path in
        ["/staff", "/audit", &format!("/audit?{query}"), &format!("/staff/{id}"), &format!("/sign-in?next={query}")]
    {
        let page = kim.get(path).await;
        assert!(!page.text.contains("<img"), "{path}: {}", page.text);
    }
    kim.get("/audit").await.is(200, "&lt;img src=x onerror=alert(1)&gt;");
    kim.get("/staff").await.is(200, "&lt;img src=x");
    assert_eq!(world.store.all_staff().await.unwrap().len(), 2, "the table is there");
}
