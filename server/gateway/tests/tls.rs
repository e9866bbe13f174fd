//! TLS on the public port: gRPC by HTTP/2, gRPC-web by HTTP/1.1, one certificate.

mod support;

use gateway::Tls;
use peers::certificate::Authority;
use proto::v1::device_service_client::DeviceServiceClient;
use support::web::post;
use support::*;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};

#[tokio::test]
async fn both_protocols_speak_tls_on_one_port() {
    let files = tempfile::tempdir().unwrap();
    let authority = Authority::new().unwrap();
    let leaf = authority.issue_server().unwrap().write(files.path(), "server").unwrap();
    let world =
        World::alone(|config| config.tls = Some(Tls { certificate: leaf.certificate.clone(), key: leaf.key.clone() }))
            .await;
    let backend = world.backend();
    let base = format!("https://{}", world.address);

    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority.certificate_pem()));
    let endpoint = Endpoint::from_shared(base.clone()).unwrap().tls_config(tls).unwrap();
    let mut device = DeviceServiceClient::new(endpoint.connect().await.unwrap());
    device.register(with_app_key(registration())).await.unwrap();

    let client = reqwest::Client::builder()
        .http1_only()
        .tls_certs_only([reqwest::Certificate::from_pem(authority.certificate_pem().as_bytes()).unwrap()])
        .build()
        .unwrap();
    let answer = post(&client, &base, "Register", &[(proto::APP_KEY_METADATA, APP_KEY)], &registration()).await;
    assert_eq!(answer.trailers["grpc-status"], "0");
    assert_eq!(backend.calls().len(), 2);

    // Clear text gets nowhere.
    let plain = Endpoint::from_shared(format!("http://{}", world.address)).unwrap().connect().await.unwrap();
    assert!(DeviceServiceClient::new(plain).register(with_app_key(registration())).await.is_err());
    assert_eq!(backend.calls().len(), 2);
    world.stop().await;
}

#[tokio::test]
async fn files_that_are_no_certificate_stop_the_start() {
    let files = tempfile::tempdir().unwrap();
    let leaf = Authority::new().unwrap().issue_server().unwrap().write(files.path(), "server").unwrap();
    let other = Authority::new().unwrap().issue_server().unwrap().write(files.path(), "other").unwrap();
    let nonsense = files.path().join("nonsense.pem");
    std::fs::write(&nonsense, "nonsense").unwrap();
    for (certificate, key) in [
        (&leaf.certificate, &leaf.certificate),
        (&leaf.key, &leaf.key),
        (&nonsense, &leaf.key),
        (&leaf.certificate, &nonsense),
        (&leaf.certificate, &other.key),
    ] {
        let backend = gateway::BackendAddress::Unix { path: "backend.sock".into() };
        let mut config = gateway::Config::new("127.0.0.1:0".parse().unwrap(), backend);
        config.tls = Some(Tls { certificate: certificate.clone(), key: key.clone() });
        let error = gateway::Gateway::bind(config).await.err().expect("it must not start").to_string();
        assert!(error.contains("no usable certificate or private key"), "{error}");
    }
}
