//! Reviews as a real API server sent them (`tests/e2e` captures them), and the answers to them.

use std::fmt::Write as _;

use super::{repository, routes, send};

/// An answer for people to look over.
fn render(response: &serde_json::Value) -> String {
    let mut text = format!("allowed: {}\n", response["allowed"]);
    for warning in response["warnings"].as_array().into_iter().flatten() {
        let _ = writeln!(text, "Warning: {}", warning.as_str().unwrap());
    }
    for (key, value) in response["auditAnnotations"].as_object().into_iter().flatten() {
        let _ = writeln!(text, "annotation {key}: {}", value.as_str().unwrap());
    }
    if let Some(message) = response["status"]["message"].as_str() {
        let _ = write!(text, "{} {}\n\n{message}\n", response["status"]["code"], response["status"]["reason"]);
    }
    text
}

#[tokio::test]
async fn answers_to_the_reviews_of_a_real_api_server() {
    let mut files: Vec<_> =
        std::fs::read_dir(repository().join("tests/admission")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    assert!(files.len() >= 8, "{files:?}");
    let routes = routes();
    for file in files {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let body = std::fs::read_to_string(&file).unwrap();
        let answer = send(&routes, "application/json", body.clone()).await;
        let response = answer.response().unwrap_or_else(|| panic!("{name}: {answer:?}"));
        insta::assert_snapshot!(name.clone(), render(&response));
        // The same review cut short is refused, never waved through.
        let cut = send(&routes, "application/json", body[..body.len() - 20].to_owned()).await;
        let refused = cut.response().map(|response| response["allowed"] == false);
        assert!(refused.unwrap_or(cut.status == 400), "{name}, cut: {cut:?}");
    }
}
