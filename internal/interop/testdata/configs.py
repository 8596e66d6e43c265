"""Scanning, signing, pull-through and replication configurations by boto3, put and read back as Terraform does."""

import os

import boto3

ecr = boto3.client("ecr", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
ACCOUNT = ecr.describe_registry()["registryId"]
REGION = ecr.meta.region_name
SECRET = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:ecr-pullthroughcache/hub-AbCdEf"
PROFILE = f"arn:aws:signer:{REGION}:{ACCOUNT}:/signing-profiles/release"


def refused(exception, call, **members):
    try:
        call(**members)
    except exception as e:
        return e.response["Error"]["Message"]
    raise SystemExit(f"{members} were not refused")


# Terraform takes the scanning configuration away by putting the default.
initial = ecr.get_registry_scanning_configuration()["scanningConfiguration"]
assert initial == {"scanType": "BASIC", "rules": []}, initial
rules = [
    {"scanFrequency": "SCAN_ON_PUSH", "repositoryFilters": [{"filter": "*", "filterType": "WILDCARD"}]},
    {
        "scanFrequency": "CONTINUOUS_SCAN",
        "repositoryFilters": [
            {"filter": "example", "filterType": "WILDCARD"},
            {"filter": "prod-*", "filterType": "WILDCARD"},
        ],
    },
]
put = ecr.put_registry_scanning_configuration(scanType="ENHANCED", rules=rules)["registryScanningConfiguration"]
assert put == {"scanType": "ENHANCED", "rules": rules}, put
got = ecr.get_registry_scanning_configuration()
assert got["registryId"] == ACCOUNT and got["scanningConfiguration"] == put, got
ecr.create_repository(repositoryName="prod-app")
told = ecr.batch_get_repository_scanning_configuration(repositoryNames=["prod-app", "absent"])
assert told["scanningConfigurations"][0]["scanFrequency"] == "CONTINUOUS_SCAN", told
assert told["scanningConfigurations"][0]["appliedScanFilters"] == rules[1]["repositoryFilters"][1:], told
assert told["failures"][0]["failureCode"] == "REPOSITORY_NOT_FOUND", told
ecr.put_registry_scanning_configuration(scanType="BASIC", rules=[])
assert ecr.get_registry_scanning_configuration()["scanningConfiguration"] == initial
refused(
    ecr.exceptions.ImageNotFoundException,
    ecr.describe_image_scan_findings,
    repositoryName="prod-app",
    imageId={"imageTag": "1"},
)

refused(ecr.exceptions.SigningConfigurationNotFoundException, ecr.get_signing_configuration)
signing = {
    "rules": [
        {"signingProfileArn": PROFILE, "repositoryFilters": [{"filter": "prod/*", "filterType": "WILDCARD_MATCH"}]},
        {"signingProfileArn": PROFILE + "2"},
    ]
}
assert ecr.put_signing_configuration(signingConfiguration=signing)["signingConfiguration"] == signing
assert ecr.get_signing_configuration()["signingConfiguration"] == signing
assert ecr.delete_signing_configuration()["signingConfiguration"] == signing
refused(ecr.exceptions.SigningConfigurationNotFoundException, ecr.delete_signing_configuration)

missing = ecr.exceptions.PullThroughCacheRuleNotFoundException
refused(missing, ecr.describe_pull_through_cache_rules, ecrRepositoryPrefixes=["hub"])
made = ecr.create_pull_through_cache_rule(
    ecrRepositoryPrefix="hub", upstreamRegistryUrl="registry-1.docker.io", credentialArn=SECRET
)
read = ecr.describe_pull_through_cache_rules(registryId=ACCOUNT, ecrRepositoryPrefixes=["hub"])["pullThroughCacheRules"]
assert len(read) == 1 and read[0]["upstreamRegistry"] == "docker-hub", read
for member in "ecrRepositoryPrefix", "upstreamRegistryUrl", "credentialArn", "upstreamRepositoryPrefix", "createdAt":
    assert read[0][member] == made[member], (member, read, made)
assert made["upstreamRepositoryPrefix"] == "ROOT", made
refused(
    ecr.exceptions.PullThroughCacheRuleAlreadyExistsException,
    ecr.create_pull_through_cache_rule,
    ecrRepositoryPrefix="hub",
    upstreamRegistryUrl="quay.io",
)
refused(
    ecr.exceptions.UnsupportedUpstreamRegistryException,
    ecr.create_pull_through_cache_rule,
    ecrRepositoryPrefix="other",
    upstreamRegistryUrl="registry.example.com",
)
changed = ecr.update_pull_through_cache_rule(ecrRepositoryPrefix="hub", registryId=ACCOUNT, credentialArn=SECRET + "2")
assert changed["credentialArn"] == SECRET + "2" and changed["updatedAt"] >= made["createdAt"], changed
checked = ecr.validate_pull_through_cache_rule(ecrRepositoryPrefix="hub")
assert checked["isValid"] is False and SECRET + "2" in checked["failure"], checked

for n in range(5):
    ecr.create_pull_through_cache_rule(ecrRepositoryPrefix=f"quay{n}", upstreamRegistryUrl="quay.io")
pages = ecr.get_paginator("describe_pull_through_cache_rules").paginate(PaginationConfig={"PageSize": 2})
sizes = [[rule["ecrRepositoryPrefix"] for rule in page["pullThroughCacheRules"]] for page in pages]
assert sizes == [["hub", "quay0"], ["quay1", "quay2"], ["quay3", "quay4"]], sizes

gone = ecr.delete_pull_through_cache_rule(ecrRepositoryPrefix="hub", registryId=ACCOUNT)
assert gone["credentialArn"] == SECRET + "2", gone
refused(missing, ecr.describe_pull_through_cache_rules, ecrRepositoryPrefixes=["hub"])
refused(missing, ecr.delete_pull_through_cache_rule, ecrRepositoryPrefix="hub", registryId=ACCOUNT)
# Terraform reads replication back by describe_registry, and takes it away by no rules.
assert ecr.describe_registry()["replicationConfiguration"] == {"rules": []}
replication = {
    "rules": [
        {"destinations": [{"region": "us-west-2", "registryId": ACCOUNT}]},
        {
            "destinations": [{"region": "eu-west-1", "registryId": "123456789012"}, {"region": REGION, "registryId": "123456789012"}],
            "repositoryFilters": [{"filter": "prod-", "filterType": "PREFIX_MATCH"}, {"filter": "team/", "filterType": "PREFIX_MATCH"}],
        },
    ]
}
for configuration in [replication, {"rules": []}]:
    put = ecr.put_replication_configuration(replicationConfiguration=configuration)["replicationConfiguration"]
    got = ecr.describe_registry()["replicationConfiguration"]
    assert put == got == configuration, (put, got)
itself = {"rules": [{"destinations": [{"region": REGION, "registryId": ACCOUNT}]}]}
said = refused(ecr.exceptions.InvalidParameterException, ecr.put_replication_configuration, replicationConfiguration=itself)
assert "Replication destination cannot be the same as the source registry" in said, said
refused(
    ecr.exceptions.ImageNotFoundException,
    ecr.describe_image_replication_status,
    repositoryName="prod-app",
    imageId={"imageTag": "1"},
)
refused(
    ecr.exceptions.RepositoryNotFoundException,
    ecr.describe_image_replication_status,
    repositoryName="absent",
    imageId={"imageTag": "1"},
)
print("all is well with boto3", boto3.__version__)
